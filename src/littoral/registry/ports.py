"""What the registry needs from the world besides the log: someone to work on passwords."""

from typing import Protocol


class PasswordHasher(Protocol):
    """Argon2 off the loop: a thread in `app`, inline in `simulate`.

    Work that waits is bounded: at the bound, every method raises `HasherBusy` at once.
    """

    async def hash(self, password: str) -> str:
        """A PHC string (``$argon2id$…``) of ``password`` with a new salt."""
        ...

    async def verify(self, password: str, phc: str) -> bool:
        """True if ``phc`` was made of ``password``; the comparison takes constant time."""
        ...

    async def decoy(self, password: str) -> None:
        """Cost as much as `verify`, so that an unknown name cannot be told from a wrong password."""
        ...
