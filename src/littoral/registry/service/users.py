"""Users: people and programs that use the API. Their records never leave the node."""

from collections.abc import Sequence
from dataclasses import replace

import msgspec

from littoral.kernel.time import Entropy
from littoral.registry.core.naming import parse_user_name
from littoral.registry.core.secrets import sha_secret
from littoral.registry.errors import InvalidRegistration, NotRegistered
from littoral.registry.model import ARGON2, PASSWORD_BYTES_MAX, Role, Secret, User, UserEntry
from littoral.registry.ports import PasswordHasher
from littoral.registry.service.authentication import Authenticator
from littoral.registry.service.shelf import Shelf, encode, load, load_all

_ENTRY = msgspec.json.Decoder(UserEntry)
_SALT_BYTES = 16


class Users:
    """Who may use the API, by name and password."""

    def __init__(
        self, shelf: Shelf, doors: Authenticator, hasher: PasswordHasher, entropy: Entropy
    ) -> None:
        self._shelf = shelf
        self._doors = doors
        self._hasher = hasher
        self._entropy = entropy

    def find(self, name: str) -> User | None:
        """The user of that name."""
        entry = self._entry(name)
        return None if entry is None else entry.user()

    def page(self, after: str, limit: int) -> list[User]:
        """Users in the order of their names."""
        return [entry.user() for entry in load_all(self._shelf.page("user/", after, limit), _ENTRY)]

    async def set(self, name: str, password: str, roles: Sequence[Role]) -> User:
        """Make or change a user whose password a person chose."""
        parse_user_name(name)
        _check_password(password)
        phc = await self._hasher.hash(password)
        return self._put(name, Secret(self._entropy.token(6).hex(), ARGON2, phc), roles)

    def put_generated(self, name: str, password: str, roles: Sequence[Role]) -> User:
        """Make or change a user whose password was generated."""
        parse_user_name(name)
        _check_password(password)
        salt = self._entropy.token(_SALT_BYTES)
        secret = sha_secret(self._entropy.token(6).hex(), password, salt=salt)
        return self._put(name, secret, roles)

    def delete(self, name: str) -> None:
        """Remove a user."""
        if self._entry(name) is None:
            raise NotRegistered(f"there is no user {name[:128]!r}.")
        self._shelf.put(f"user/{name}", None)
        self._shelf.record("user.deleted", f"user:{name}", encode({"name": name}))
        self._told("user.deleted", name, ends_access=True)

    def _put(self, name: str, secret: Secret, roles: Sequence[Role]) -> User:
        before = self._entry(name)
        ordered = tuple(sorted({Role(role) for role in roles}))
        entry = UserEntry(name, ordered, secret)
        entry = replace(entry, version=self._shelf.next_version(before.version if before else 0))
        self._shelf.put(f"user/{name}", encode(entry))
        # The record says that it changed and to which roles; the hash stays in the table.
        told = {"name": name, "roles": ordered, "version": entry.version}
        self._shelf.record("user.modified", f"user:{name}", encode(told))
        self._told("user.modified", name, ends_access=before is not None)
        return entry.user()

    def _told(self, kind: str, name: str, *, ends_access: bool) -> None:
        self._doors.changed(f"user:{name}")
        self._shelf.announce(kind, "", name, ends_access=ends_access)

    def _entry(self, name: str) -> UserEntry | None:
        return load(self._shelf.get(f"user/{name}"), _ENTRY) if name.isascii() else None


def _check_password(password: str) -> None:
    if not 0 < len(password.encode("utf-8", "surrogatepass")) <= PASSWORD_BYTES_MAX:
        raise InvalidRegistration(f"a password has 1 to {PASSWORD_BYTES_MAX} bytes.")
