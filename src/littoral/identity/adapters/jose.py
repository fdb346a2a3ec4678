"""Signatures of JSON Web Tokens with joserfc."""

import warnings
from functools import lru_cache

from joserfc import jws, jwt
from joserfc.errors import BadSignatureError, JoseError, SecurityWarning
from joserfc.jwk import ECKey, JWKRegistry, OKPKey, RSAKey

from littoral.identity.errors import TokenInvalid
from littoral.identity.model import ALGORITHMS, Claims
from littoral.kernel import json

Key = RSAKey | ECKey | OKPKey

_KINDS = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}


class JoseVerifier:
    """A `TokenVerifier`. Spec: RFC 7515, 7517, 7518, 7519, 8037."""

    def verify(self, token: str, keys: bytes) -> Claims | None:
        """See `TokenVerifier.verify`."""
        try:
            header = jws.extract_compact(token.encode("ascii", "replace")).headers()
        except (JoseError, ValueError) as e:
            raise TokenInvalid("the bearer token cannot be read.") from e
        algorithm, key_id = header.get("alg"), header.get("kid")
        if algorithm not in ALGORITHMS:
            raise TokenInvalid(
                f"the token is signed with {str(algorithm)[:20]!r}, which is not believed.",
                hint=f"Use one of {', '.join(ALGORITHMS)}.",
            )
        # A token without a key id may be of any key of its kind.
        candidates = [
            key
            for key in _keys(keys)
            if key.key_type == _KINDS[algorithm[:2]] and (key_id is None or key.kid == key_id)
        ]
        wrong: JoseError | None = None
        for key in candidates:
            try:
                with warnings.catch_warnings():
                    # EdDSA is the name that issuers use; RFC 9864 would have it called Ed25519.
                    warnings.simplefilter("ignore", SecurityWarning)
                    return jwt.decode(token, key, algorithms=[algorithm]).claims
            except BadSignatureError as e:
                wrong = e
            except (JoseError, ValueError) as e:
                raise TokenInvalid(f"the token cannot be checked: {e}.") from e
        if wrong is not None and key_id is not None:
            raise TokenInvalid("the token's signature is wrong.") from wrong
        return None


@lru_cache(maxsize=64)
def _keys(keys: bytes) -> tuple[Key, ...]:
    """The keys of a set that can check signatures; others, and broken ones, are passed over."""
    given = json.decode_object(keys).get("keys")
    usable: list[Key] = []
    for data in given if isinstance(given, list) else []:
        if not isinstance(data, dict) or data.get("use", "sig") != "sig":
            continue
        try:
            key = JWKRegistry.import_key(data)
        except (JoseError, ValueError, KeyError, TypeError):
            continue
        if isinstance(key, RSAKey | ECKey | OKPKey):
            usable.append(key)
    return tuple(usable)
