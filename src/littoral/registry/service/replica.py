"""Taking over what another registry says: a site follows its cloud's.

The record is history here like any other; the tables follow it where it is newer than what they
hold, so taking it twice, or an old one late, changes nothing.
"""

import msgspec

from littoral.kernel.errors import Kind
from littoral.log import Log, Record
from littoral.registry.core.naming import parse_device_id, parse_tenant_id
from littoral.registry.errors import InvalidRegistration
from littoral.registry.model import CredentialSet, Device, Tenant
from littoral.registry.service.authentication import Authenticator
from littoral.registry.service.shelf import Shelf
from littoral.registry.service.sites import Sites

_TENANT = msgspec.json.Decoder(Tenant)
_DEVICE = msgspec.json.Decoder(Device)
_CREDENTIALS = msgspec.json.Decoder(CredentialSet)


class Gone(msgspec.Struct, frozen=True):
    """The value of a ``….deleted`` record: what was deleted, and the version that is."""

    id: str
    version: int
    tenant: str = ""


_GONE = msgspec.json.Decoder(Gone)


class InvalidReplica(InvalidRegistration):
    """A record that came over the link does not say what its kind says it says."""

    code = "registry.replica.invalid"
    kind = Kind.PEER


class Replica:
    """Applies records of the registry that this one follows."""

    def __init__(self, log: Log, shelf: Shelf, doors: Authenticator, sites: Sites) -> None:
        self._log = log
        self._shelf = shelf
        self._doors = doors
        self._sites = sites

    def apply(self, record: Record) -> None:
        """Follow ``record``, then append it.

        Raises:
            InvalidReplica: it cannot be read, or speaks of something else than its entity.
        """
        self.follow(record.kind, record.entity, record.value)
        self._log.append_remote(record, 0, 0)

    def follow(self, kind: str, entity: str, value: bytes) -> None:
        """Let what ``kind`` says of ``entity`` hold here too, if it is newer; append nothing.

        Raises:
            InvalidReplica: as `apply`.
        """
        try:
            match kind:
                case "tenant.modified":
                    self._tenant(kind, entity, value)
                case "tenant.deleted":
                    gone = _GONE.decode(value)
                    tenant = self._shelf.tenant(gone.id)
                    if tenant is not None and tenant.version < gone.version:
                        self.tenant_gone(tenant)
                case "device.modified":
                    self._device(kind, entity, value)
                case "device.deleted":
                    gone = _GONE.decode(value)
                    device = self._shelf.device(gone.tenant, gone.id)
                    if device is not None and device.version < gone.version:
                        self.device_gone(device)
                case "credentials.modified" | "credentials.deleted":
                    self._credentials(kind, entity, value)
                case "site.modified":
                    self._sites.apply(entity.removeprefix("site:"), value)
                case "site.deleted":
                    self._sites.apply(entity.removeprefix("site:"), None)
                case _:
                    pass  # a newer release's kind: kept, and passed on to readers
        except msgspec.MsgspecError as e:
            raise InvalidReplica(f"a {kind} of {entity} cannot be read: {e}.") from e

    def _tenant(self, kind: str, entity: str, value: bytes) -> None:
        tenant = _TENANT.decode(value)
        _check(kind, entity, f"tenant:{parse_tenant_id(tenant.id)}")
        before = self._shelf.tenant(tenant.id)
        if before is not None and before.version >= tenant.version:
            return
        self._shelf.write_tenant(tenant, value)
        self._told(kind, tenant.id, tenant.id, ends_access=not tenant.enabled)

    def tenant_gone(self, tenant: Tenant) -> None:
        """The tenant was deleted where it is kept."""
        self._shelf.erase_tenant(tenant)
        self._told("tenant.deleted", tenant.id, tenant.id, ends_access=True)

    def _device(self, kind: str, entity: str, value: bytes) -> None:
        device = _DEVICE.decode(value)
        _check(kind, entity, f"device:{device.tenant}/{parse_device_id(device.id)}")
        before = self._shelf.device(device.tenant, device.id)
        if before is not None and before.version >= device.version:
            return
        self._shelf.write_device(device, value, before)
        self._told(kind, device.tenant, device.id, ends_access=not device.enabled)

    def device_gone(self, device: Device) -> None:
        """The device was deleted where it is kept."""
        self._shelf.erase_device(device)
        self._told("device.deleted", device.tenant, device.id, ends_access=True)

    def _credentials(self, kind: str, entity: str, value: bytes) -> None:
        stored = _CREDENTIALS.decode(value)
        _check(kind, entity, f"device:{stored.tenant}/{stored.device_id}")
        before = self._shelf.credentials(stored.tenant, stored.device_id)
        if before.version >= stored.version:
            return
        device = self._shelf.device(stored.tenant, stored.device_id)
        if device is not None and device.version > stored.version and not before.version:
            return  # told again: the device was deleted since, and made anew without them
        self.write_credentials(stored, value, before, kind=kind)

    def write_credentials(
        self,
        stored: CredentialSet,
        value: bytes | None,
        before: CredentialSet,
        *,
        kind: str = "credentials.modified",
    ) -> None:
        """Put ``stored`` (None: nothing) in the place of ``before``, and tell the doors."""
        self._shelf.write_credentials(stored, value, before)
        ends = takes_away(before, stored)
        self._told(kind, stored.tenant, stored.device_id, ends_access=ends)

    def _told(self, kind: str, tenant: str, name: str, *, ends_access: bool) -> None:
        self._doors.changed(f"device:{tenant}/{name}")
        self._shelf.announce(kind, tenant, name, ends_access=ends_access)


def takes_away(before: CredentialSet, after: CredentialSet) -> bool:
    """True if a password that opened a door does not open it any more."""
    return bool(_usable(before) - _usable(after))


def _usable(stored: CredentialSet) -> set[tuple[str, str, str, str]]:
    return {
        (credential.auth_id, secret.function, secret.hash, secret.salt)
        for credential in stored.credentials
        if credential.enabled
        for secret in credential.secrets
        if secret.enabled
    }


def _check(kind: str, entity: str, spoken_of: str) -> None:
    if entity != spoken_of:
        raise InvalidReplica(f"a {kind} of {entity} speaks of {spoken_of}.")
