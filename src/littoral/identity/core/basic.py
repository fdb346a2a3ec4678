"""Texts of headers that prove something."""

import base64
import binascii

from littoral.identity.model import PRE_AUTHENTICATED_MAX
from littoral.kernel.errors import Unauthenticated

API_KEY_PREFIX = "lk_"
"""What every API key begins with: it can be told from a token, and found by secret scanners."""

_BASIC_CHARS_MAX = 4096


def parse_basic(token: str) -> tuple[str, str]:
    """Read ``base64(name:password)``; raise `Unauthenticated` if it is something else."""
    if len(token) > _BASIC_CHARS_MAX:
        raise Unauthenticated("the Authorization header is too long.")
    try:
        name, colon, password = (
            base64.b64decode(token.strip(), validate=True).decode().partition(":")
        )
    except (binascii.Error, ValueError) as e:
        raise Unauthenticated("the Authorization header cannot be read.") from e
    if not colon or not name:
        raise Unauthenticated("the Authorization header names no user.")
    return name, password


def parse_pre_authenticated(text: str) -> tuple[str, ...]:
    """Read ``issuer:subject,issuer:subject``; raise `Unauthenticated` if one has no issuer."""
    subjects = tuple(dict.fromkeys(one.strip() for one in text.split(",") if one.strip()))
    if not subjects or len(subjects) > PRE_AUTHENTICATED_MAX:
        raise Unauthenticated(
            f"x-ditto-pre-authenticated names 1 to {PRE_AUTHENTICATED_MAX} subjects."
        )
    for one in subjects:
        issuer, colon, name = one.partition(":")
        if not issuer or not colon or not name:
            raise Unauthenticated(
                f"{one[:80]!r} in x-ditto-pre-authenticated is not of the form issuer:subject."
            )
    return subjects
