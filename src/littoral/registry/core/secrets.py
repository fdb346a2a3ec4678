"""Hashed passwords: reading what is handed in, and checking the cheap functions.

Salted SHA-2 is for generated secrets, whose entropy makes guessing hopeless; what people choose is
hashed with argon2 behind the `PasswordHasher` port.
"""

import binascii
import hashlib
import hmac
import re
from base64 import b64decode, b64encode

from littoral.registry.errors import InvalidRegistration
from littoral.registry.model import ARGON2, SHA_256, SHA_512, Secret

_DIGEST_BYTES = {SHA_256: 32, SHA_512: 64}
_SALT_BYTES_MAX = 64
_PHC_CHARS_MAX = 256
_PHC = re.compile(
    r"\$argon2(?:id|i|d)\$v=19\$m=(\d{1,7}),t=(\d{1,2}),p=(\d{1,2})"
    r"\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})",
    re.ASCII,
)
# A hash that is handed in chooses what its check costs; these are what a check may cost here.
_MEMORY_KIB_MAX = 64 * 1024
_PASSES_MAX = 10
_LANES_MAX = 4


def check_sha(secret: Secret, password: bytes) -> bool:
    """True if ``secret``, of a SHA-2 function, was made of ``password``; in constant time."""
    made = _digest(secret.function, b64decode(secret.salt), password)
    return hmac.compare_digest(made, b64decode(secret.hash))


def sha_secret(secret_id: str, password: str, *, salt: bytes, function: str = SHA_256) -> Secret:
    """A `Secret` for a generated password."""
    digest = _digest(function, salt, password.encode())
    return Secret(secret_id, function, b64encode(digest).decode(), b64encode(salt).decode())


def check_hash(function: str, text: str, salt: str) -> tuple[str, str, str]:
    """Return ``(function, hash, salt)`` of a hash that was made elsewhere, in our form.

    Raises:
        InvalidRegistration: an unknown function, text of the wrong form or length, or an argon2
            hash whose check would cost too much.
    """
    if text.startswith("$argon2"):
        return ARGON2, _checked_phc(text), ""
    size = _DIGEST_BYTES.get(function)
    if size is None:
        raise InvalidRegistration(
            f"hash-function {function[:20]!r} is not supported.",
            hint="Use sha-256, sha-512, or an argon2 string ($argon2id$…) as pwd-hash.",
        )
    if len(_decoded(text, "pwd-hash")) != size:
        raise InvalidRegistration(f"pwd-hash of {function} is not {size} bytes long.")
    if len(_decoded(salt, "salt")) > _SALT_BYTES_MAX:
        raise InvalidRegistration(f"a salt has at most {_SALT_BYTES_MAX} bytes.")
    return function, text, salt


def _checked_phc(text: str) -> str:
    found = _PHC.fullmatch(text) if len(text) <= _PHC_CHARS_MAX else None
    if found is None:
        raise InvalidRegistration(
            "pwd-hash begins like an argon2 string but is none.",
            hint="Form: $argon2id$v=19$m=19456,t=2,p=1$salt$hash.",
        )
    memory, passes, lanes = (int(found[i]) for i in (1, 2, 3))
    if not (
        1 <= lanes <= _LANES_MAX
        and 1 <= passes <= _PASSES_MAX
        and 8 * lanes <= memory <= _MEMORY_KIB_MAX
    ):
        raise InvalidRegistration(
            f"an argon2 hash with m={memory}, t={passes}, p={lanes} is not accepted.",
            hint=f"At most m={_MEMORY_KIB_MAX}, t={_PASSES_MAX}, p={_LANES_MAX}.",
        )
    return text


def _digest(function: str, salt: bytes, password: bytes) -> bytes:
    made = hashlib.sha256(salt) if function == SHA_256 else hashlib.sha512(salt)
    made.update(password)
    return made.digest()


def _decoded(text: str, name: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError) as e:
        raise InvalidRegistration(f"{name} is not base64.") from e
