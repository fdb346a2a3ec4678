"""Passwords in the virtual world: hashed at once, and for nobody's protection."""

import hashlib


class VirtualHasher:
    """The `PasswordHasher` port without a thread and without the cost of argon2."""

    async def hash(self, password: str) -> str:
        return "$virtual$" + hashlib.sha256(password.encode()).hexdigest()

    async def verify(self, password: str, phc: str) -> bool:
        return await self.hash(password) == phc

    async def decoy(self, password: str) -> None:
        """There is nothing to hide here."""
