"""Who asks: HTTP Basic against the registry's users."""

import base64
import binascii
from functools import lru_cache

from littoral.api.request import Request
from littoral.kernel.errors import Forbidden, Unauthenticated
from littoral.kernel.ids import Subject
from littoral.registry import Registry, User
from littoral.twin import Caller

_BASIC_CHARS_MAX = 1024


class Authenticator:
    """Turns the Authorization header into a user; verified passwords are the registry's cache."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def user(self, request: Request) -> User:
        """The user who asks.

        Raises:
            Unauthenticated: no credentials, none that can be read, or wrong ones.
        """
        name, password = parse_basic(request.headers.get("authorization"))
        return await self._registry.authenticate_user(name, password)


def parse_basic(header: str | None) -> tuple[str, str]:
    """Read ``Basic base64(name:password)``; raise `Unauthenticated` if it is something else."""
    scheme, _, token = (header or "").partition(" ")
    if scheme.lower() != "basic" or len(token) > _BASIC_CHARS_MAX:
        raise Unauthenticated(
            "this needs a user name and a password.",
            hint="Send HTTP Basic authentication; the command line takes --user and --password, "
            "or LITTORAL_USER and LITTORAL_PASSWORD.",
        )
    try:
        name, colon, password = (
            base64.b64decode(token.strip(), validate=True).decode().partition(":")
        )
    except (binascii.Error, ValueError) as e:
        raise Unauthenticated("the Authorization header cannot be read.") from e
    if not colon or not name:
        raise Unauthenticated("the Authorization header names no user.")
    return name, password


@lru_cache(maxsize=1024)
def caller_of(user: User) -> Caller:
    """How twins see a user; policies do not bind an administrator."""
    return Caller(
        subjects=frozenset(Subject(one) for one in user.subjects), unrestricted=user.is_admin
    )


def require_admin(user: User) -> None:
    """Raise `Forbidden` unless the user is an administrator."""
    if not user.is_admin:
        raise Forbidden(
            f"the user {user.name!r} is not an administrator.",
            hint="Use the credentials that the node printed at its first start.",
        )
