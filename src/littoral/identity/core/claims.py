"""What a token says: reading it, judging it, and the subjects that come out of it."""

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from itertools import product

from littoral.identity.errors import InvalidIssuer, TokenInvalid
from littoral.identity.model import CLAIM_SUBJECTS_MAX, CLOCK_SKEW_MS, TOKEN_CHARS_MAX, Claims
from littoral.kernel import json, placeholders
from littoral.kernel.errors import InvalidJson

_JWT = re.compile(r"jwt:([^\s{}|]+)")


def unverified(token: str) -> Claims:
    """The claims that a token makes, believed by nobody yet; raise `TokenInvalid`."""
    if len(token) > TOKEN_CHARS_MAX:
        raise TokenInvalid(f"a token has at most {TOKEN_CHARS_MAX} characters.")
    parts = token.split(".")
    if len(parts) != 3:
        raise TokenInvalid(
            "the bearer token is no signed JSON Web Token.",
            hint="Send a JWT of a configured issuer, or an API key that begins with lk_.",
        )
    try:
        raw = base64.b64decode(parts[1] + "=" * (-len(parts[1]) % 4), altchars=b"-_", validate=True)
        return json.decode_object(raw)
    except (binascii.Error, ValueError, InvalidJson) as e:
        raise TokenInvalid("the bearer token cannot be read.") from e


def plain_issuer(text: str) -> str:
    """An issuer without what people write differently: the scheme and a slash at the end."""
    return text.removeprefix("https://").removeprefix("http://").rstrip("/")


def check_times(claims: Claims, now_ms: int) -> int:
    """Raise `TokenInvalid` unless the token is valid now; return when it ends, in ms."""
    expires = _instant(claims, "exp")
    if expires is None:
        raise TokenInvalid("the token has no end ('exp').")
    if expires + CLOCK_SKEW_MS <= now_ms:
        raise TokenInvalid("the token has expired.", hint="Get a new one from its issuer.")
    for name in ("nbf", "iat"):
        begins = _instant(claims, name)
        if begins is not None and begins - CLOCK_SKEW_MS > now_ms:
            raise TokenInvalid("the token is not valid yet.", hint="Compare the clocks.")
    return expires


def _instant(claims: Claims, name: str) -> int | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**53:
        raise TokenInvalid(f"the token's {name!r} is no time.")
    return int(value * 1000)


def audiences_of(claims: Claims) -> tuple[str, ...]:
    """The token's ``aud``, as a list whatever form it has."""
    value = claims.get("aud")
    several = value if isinstance(value, list) else [value]
    return tuple(one for one in several if isinstance(one, str))


def check_template(text: str) -> None:
    """Raise `InvalidIssuer` if ``text`` has a placeholder that is never filled."""
    for name in placeholders.names_in(text):
        if _JWT.fullmatch(name) is None:
            raise InvalidIssuer(
                f"the subject template {text[:100]!r} has {name!r}, which is not known.",
                hint="Write {{ jwt:claim }} or {{ jwt:outer/inner }}.",
            )


def subjects_of(name: str, templates: Iterable[str], claims: Claims) -> tuple[str, ...]:
    """The subjects ``name:<filled template>``; a claim that is a list stands for each of its items.

    A template with a claim that is missing gives nothing.
    """
    found: dict[str, None] = {}
    for template in templates:
        names = placeholders.names_in(template)
        choices = [_texts(claims, one.removeprefix("jwt:").split("/")) for one in names]
        for count, chosen in enumerate(product(*choices)):
            found[f"{name}:{_filled(template, chosen)}"] = None
            # Counted before equal ones fall together: it is the product that takes time.
            if count >= CLAIM_SUBJECTS_MAX or len(found) > CLAIM_SUBJECTS_MAX:
                raise TokenInvalid(f"the token stands for more than {CLAIM_SUBJECTS_MAX} subjects.")
    return tuple(found)


def _filled(template: str, values: Iterable[str]) -> str:
    """``template`` with its placeholders replaced, in turn, by ``values``."""
    following = iter(values)
    return placeholders.fill(template, lambda _: next(following))


def _texts(claims: object, keys: list[str]) -> list[str]:
    value = claims
    for key in keys:
        if not isinstance(value, Mapping) or key not in value:
            return []
        value = value[key]
    several = value if isinstance(value, list) else [value]
    return list(dict.fromkeys(_text(one) for one in several if isinstance(one, str | int | float)))


def _text(value: str | float) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
