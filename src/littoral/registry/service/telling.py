"""The registry told as it is, for a site whose records of it are gone; and a site's taking it over.

A key is told with its value. Of a range of keys that was told, what is not among them was deleted:
a site knows of its tenants only what its cloud knows, and versions say which of both is newer.
"""

from collections.abc import Iterable

import msgspec

from littoral.log import Log
from littoral.registry.model import SPACE, CredentialSet, Device, Tenant
from littoral.registry.service.replica import InvalidReplica, Replica
from littoral.registry.service.shelf import Shelf

_TENANT = msgspec.json.Decoder(Tenant)
_DEVICE = msgspec.json.Decoder(Device)
_CREDENTIALS = msgspec.json.Decoder(CredentialSet)


class RegistryTelling:
    """Tells keys of one registry, and takes over those of the registry that this one follows."""

    def __init__(self, log: Log, shelf: Shelf, replica: Replica | None) -> None:
        self._log = log
        self._shelf = shelf
        self._replica = replica

    @staticmethod
    def ranges(site: str, tenants: Iterable[str]) -> list[str]:
        """Prefixes of the keys that a site with these tenants is told."""
        found = [f"site/{site}"] if site else []
        for tenant in tenants:
            found += [f"credentials/{tenant}/", f"device/{tenant}/", f"tenant/{tenant}"]
        return sorted(found)

    def after(self, prefix: str, after: str, *, limit: int) -> tuple[list[tuple[str, bytes]], str]:
        """Keys of a range beyond ``after`` with their values.

        Returns:
            At most ``limit`` of them; and the last one that was looked at, empty at the end.
        """
        if not prefix.endswith("/"):
            value = self._shelf.get(prefix) if after < prefix else None
            return ([] if value is None else [(prefix, value)]), ""
        rows = self._log.scan(SPACE, prefix=prefix, after=after, limit=limit)
        found = [(key, value) for key, _ in rows if (value := self._shelf.get(key)) is not None]
        return found, rows[-1][0] if len(rows) == limit else ""

    def keys(self, prefix: str, after: str, upto: str) -> list[str]:
        """The keys here with ``after`` < key <= ``upto``, of one range."""
        if not prefix.endswith("/"):
            known = after < prefix <= upto and self._shelf.get(prefix) is not None
            return [prefix] if known else []
        found: list[str] = []
        while rows := self._log.scan(SPACE, prefix=prefix, after=after, limit=1000):
            found += [key for key, _ in rows if key <= upto]
            after = rows[-1][0]
            if after > upto:
                break
        return found

    def adopt(self, key: str, value: bytes) -> None:
        """Take over a key with its value, if it is newer than what is here.

        Raises:
            InvalidReplica: it cannot be read.
        """
        if self._replica is None:
            return
        noun, _, name = key.partition("/")
        try:
            match noun:
                case "tenant":
                    self._replica.follow("tenant.modified", f"tenant:{name}", value)
                case "device":
                    self._replica.follow("device.modified", f"device:{name}", value)
                case "credentials":
                    stored = _CREDENTIALS.decode(value)
                    before = self._shelf.credentials(stored.tenant, stored.device_id)
                    if before.version < stored.version:
                        self._replica.write_credentials(stored, value, before)
                case "site":
                    self._replica.follow("site.modified", f"site:{name}", value)
                case _:
                    pass  # a newer release's
        except msgspec.MsgspecError as e:
            raise InvalidReplica(f"what was told of {key} cannot be read: {e}.") from e

    def forget(self, key: str, *, stamp: int) -> None:
        """``key`` was not told where it should have been: it is gone, unless it is newer than that."""
        if self._replica is None:
            return
        noun, _, name = key.partition("/")
        tenant, _, device = name.partition("/")
        match noun:
            case "tenant":
                found = self._shelf.tenant(name)
                if found is not None and found.version <= stamp:
                    self._replica.tenant_gone(found)
            case "device":
                known = self._shelf.device(tenant, device)
                if known is not None and known.version <= stamp:
                    self._replica.device_gone(known)
            case "credentials":
                before = self._shelf.credentials(tenant, device)
                if 0 < before.version <= stamp:
                    empty = CredentialSet(before.tenant, before.device_id)
                    self._replica.write_credentials(empty, None, before)
            case _:
                pass
