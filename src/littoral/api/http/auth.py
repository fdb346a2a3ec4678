"""Who asks: takes the proofs out of a request and asks `identity` whom they stand for."""

from functools import lru_cache

from littoral.api.http.request import Request
from littoral.identity import Identities, Identity, Proofs
from littoral.kernel.errors import Forbidden
from littoral.kernel.ids import Subject
from littoral.registry import Role
from littoral.twin import Caller

PRE_AUTHENTICATED = "x-ditto-pre-authenticated"


class Authenticator:
    """Turns what came with a request into an identity; the right ones are remembered there."""

    def __init__(self, identities: Identities) -> None:
        self._identities = identities

    async def identity(self, request: Request) -> Identity:
        """Who asks.

        Raises:
            Unauthenticated: no proof, none that can be read, or a wrong one.
            KeysUnavailable: the issuer of a token cannot be asked for its keys.
        """
        proofs = proofs_of(request)
        return self._identities.recall(proofs) or await self._identities.identify(proofs)

    async def caller(self, request: Request) -> Caller:
        """Who asks, as twins see it."""
        return caller_of(await self.identity(request))

    async def renew(self, before: Identity, token: str) -> Identity:
        """Who a session belongs to that was sent a new token (``JWT-TOKEN``).

        Raises:
            SubjectChanged: somebody else; Unauthenticated: the token is not good.
        """
        return await self._identities.renew(before, token)


def proofs_of(request: Request) -> Proofs:
    """What in a request may prove something. A query has it for clients that set no headers."""
    headers, query = request.headers, request.query
    pre = headers.get(PRE_AUTHENTICATED)
    return Proofs(
        headers.get("authorization", ""),
        headers.get("x-api-key", ""),
        query.get(PRE_AUTHENTICATED, "") if pre is None else pre,
        query.get("access_token", "") if query else "",
    )


@lru_cache(maxsize=16_384)
def caller_of(identity: Identity) -> Caller:
    """How twins see an identity; policies do not bind an administrator."""
    return Caller(
        subjects=frozenset(Subject(one) for one in identity.subjects),
        unrestricted=identity.is_admin,
        name=identity.subjects[0],
        claims=identity.claims,
    )


def require_admin(identity: Identity) -> None:
    """Raise `Forbidden` unless it is an administrator."""
    require_role(identity, Role.ADMIN)


def require_role(identity: Identity, role: Role) -> None:
    """Raise `Forbidden` unless the identity has ``role``; an administrator has all of them."""
    if role not in identity.roles:
        what = "an administrator" if role is Role.ADMIN else f"of the role {role.value!r}"
        raise Forbidden(
            f"{identity.name!r} is not {what}.",
            hint="Use the credentials that the node printed at its first start, or ask there.",
        )
