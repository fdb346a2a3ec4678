"""The registry's place in the log: typed values under keys, a record per change, bounded memory.

Keys in the space: ``tenant/T``, ``namespace/NS`` → T, ``device/T/D``, ``thing/THING`` → T/D,
``credentials/T/D``, ``auth/T/TYPE/AUTH-ID`` → D, ``user/NAME``, ``apikey/ID``, ``site/NAME``,
``key/FINGERPRINT`` and ``certificate/SERIAL`` → site, ``token/ID``. A value ends with ``#`` and its
checksum; those of older releases have none. A value that fails it is as good as not there, and is
told: nobody is let in by it, and writing it again repairs it.
"""

import logging
from collections.abc import Callable, Iterable
from typing import TypeVar
from zlib import crc32

import msgspec

from littoral.kernel.errors import LittoralError
from littoral.kernel.ids import DeviceId, TenantId, ThingId
from littoral.kernel.time import Clock, hlc_of, ms_of
from littoral.log import Log, RecordClass
from littoral.registry.core.cache import Lru
from littoral.registry.core.naming import identity_of
from littoral.registry.model import (
    DEVICES_CACHED_MAX,
    PAGE_MAX,
    SPACE,
    TENANTS_CACHED_MAX,
    CredentialSet,
    Device,
    DeviceIdentity,
    RegistryChange,
    Tenant,
)

T = TypeVar("T")
encode = msgspec.json.encode
_SEAL = 9
"""Bytes of ``#`` and the checksum."""
_logger = logging.getLogger("littoral.registry")
_TENANT = msgspec.json.Decoder(Tenant)
_DEVICE = msgspec.json.Decoder(Device)
_CREDENTIALS = msgspec.json.Decoder(CredentialSet)


class Shelf:
    """Reads and writes what the registry knows.

    Invariant: memory is a cache of the log; a failed commit empties it.
    """

    def __init__(self, log: Log, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._tenants: Lru[str, Tenant] = Lru(TENANTS_CACHED_MAX)
        self._namespaces: Lru[str, str] = Lru(TENANTS_CACHED_MAX)
        self._devices: Lru[tuple[str, str], Device] = Lru(DEVICES_CACHED_MAX)
        self._things: Lru[str, DeviceIdentity] = Lru(DEVICES_CACHED_MAX)
        self._hooks: list[Callable[[RegistryChange], None]] = []
        self._on_reset: list[Callable[[], None]] = []
        self.damaged: set[str] = set()
        """Keys whose values failed their checksum."""
        log.on_abort(self._reset)

    @property
    def cached(self) -> tuple[int, int]:
        """How many tenants and devices are in memory."""
        return len(self._tenants), len(self._devices)

    def now_ms(self) -> int:
        """The time for validity: a clock that was set back does not make old things valid."""
        return max(self._clock.now_ms(), ms_of(self._log.last_hlc))

    def next_version(self, before: int) -> int:
        """A version above ``before`` and above all that were ever given, also to what is deleted.

        It is the least stamp that the record of this change can get, and stamps are never used
        again; the record must be appended before the next version is asked for.
        """
        return max(hlc_of(self._clock.now_ms()), self._log.last_hlc + 1, before + 1)

    def on_change(self, hook: Callable[[RegistryChange], None]) -> None:
        """Call ``hook`` at every change, when it is decided."""
        self._hooks.append(hook)

    def on_reset(self, hook: Callable[[], None]) -> None:
        """Call ``hook`` when memory must be emptied: a commit failed."""
        self._on_reset.append(hook)

    # -- what all values have in common ------------------------------------------------------

    def get(self, key: str) -> bytes | None:
        """The stored bytes of ``key``; None if there are none, or if they are damaged."""
        value = self._log.get(SPACE, key)
        return None if value is None else self._opened(key, value)

    def get_text(self, key: str) -> str | None:
        """The stored text of an index key."""
        value = self.get(key)
        return None if value is None else value.decode(errors="replace")

    def put(self, key: str, value: bytes | None) -> None:
        """Write or delete ``key`` in the open batch."""
        self.damaged.discard(key)
        self._log.put(SPACE, key, None if value is None else value + _seal_of(value))

    def _opened(self, key: str, value: bytes) -> bytes | None:
        content = value[:-_SEAL]
        if _seal_of(content)[1:] == value[1 - _SEAL :]:
            return content
        if value[-_SEAL : 1 - _SEAL] != b"#":
            return value
        if key not in self.damaged:
            self.damaged.add(key)
            _logger.error("what the registry keeps under %r is damaged; write it again", key)
        return None

    def page(self, prefix: str, after: str, limit: int) -> list[bytes]:
        """Values of the keys that begin with ``prefix`` and follow ``prefix + after``."""
        limit = min(limit, PAGE_MAX)
        start = prefix + after if after else ""
        found: list[bytes] = []
        wanted = limit
        while wanted > 0:
            rows = self._log.scan(SPACE, prefix=prefix, after=start, limit=wanted)
            opened = (self._opened(key, value) for key, value in rows)
            found += [value for value in opened if value is not None]
            if len(rows) < wanted:
                break
            start, wanted = rows[-1][0], limit - len(found)
        return found

    def has_any(self, prefix: str) -> bool:
        """True if some key begins with ``prefix``."""
        return bool(self._log.scan(SPACE, prefix=prefix, limit=1))

    def record(self, kind: str, entity: str, value: bytes, path: str = "/") -> None:
        """Append the fact, after what goes with it was `put`.

        In this order, because a full batch closes right after an append: fact and puts are in one.
        """
        self._log.append(RecordClass.STATE, kind, entity, 0, 0, path, value)

    def announce(self, kind: str, tenant: str, name: str, *, ends_access: bool) -> None:
        """Tell the hooks."""
        change = RegistryChange(kind, tenant, name, ends_access)
        for hook in self._hooks:
            hook(change)

    # -- tenants -----------------------------------------------------------------------------

    def tenant(self, tenant_id: str) -> Tenant | None:
        """The tenant, from memory or the log."""
        tenant = self._tenants.get(tenant_id)
        if tenant is None:
            tenant = load(self.get(f"tenant/{tenant_id}"), _TENANT)
            if tenant is not None:
                self._tenants.put(tenant_id, tenant)
        return tenant

    def tenant_of_namespace(self, namespace: str) -> str | None:
        """The id of the tenant that a namespace belongs to."""
        found = self._namespaces.get(namespace)
        if found is None:
            found = self.get_text(f"namespace/{namespace}")
            if found is not None:
                self._namespaces.put(namespace, found)
        return found

    def tenants(self, after: str, limit: int) -> list[Tenant]:
        """Tenants in the order of their ids."""
        return load_all(self.page("tenant/", after, limit), _TENANT)

    def write_tenant(self, tenant: Tenant, value: bytes) -> None:
        """Store ``tenant``; its namespaces point to it, and those it no longer has do not."""
        before = self.tenant(tenant.id)
        for namespace in set(before.namespaces if before else ()) - set(tenant.namespaces):
            self._drop_namespace(namespace, tenant.id)
        for namespace in tenant.namespaces:
            owner = self.tenant_of_namespace(namespace)
            other = None if owner in (None, tenant.id) else self.tenant(str(owner))
            if other is not None and other.version > tenant.version:
                continue  # an old record told again: the namespace is another tenant's by now
            if owner != tenant.id:
                self.put(f"namespace/{namespace}", tenant.id.encode())
                self._namespaces.pop(namespace)
        self.put(f"tenant/{tenant.id}", value)
        self._tenants.put(tenant.id, tenant)

    def erase_tenant(self, tenant: Tenant) -> None:
        """Remove ``tenant`` and what points to it."""
        for namespace in tenant.namespaces:
            self._drop_namespace(namespace, tenant.id)
        self.put(f"tenant/{tenant.id}", None)
        self._tenants.pop(tenant.id)

    def _drop_namespace(self, namespace: str, owner: str) -> None:
        if self.tenant_of_namespace(namespace) == owner:
            self.put(f"namespace/{namespace}", None)
            self._namespaces.pop(namespace)

    # -- devices -----------------------------------------------------------------------------

    def device(self, tenant_id: str, device_id: str) -> Device | None:
        """The device, from memory or the log."""
        device = self._devices.get((tenant_id, device_id))
        if device is None:
            device = load(self.get(f"device/{tenant_id}/{device_id}"), _DEVICE)
            if device is not None:
                self._devices.put((tenant_id, device_id), device)
        return device

    def device_of(self, thing_id: str) -> DeviceIdentity | None:
        """The device whose thing it is."""
        identity = self._things.get(thing_id)
        if identity is None:
            found = self.get_text(f"thing/{thing_id}")
            if found is None:
                return None
            tenant, _, device = found.partition("/")
            identity = identity_of(TenantId(tenant), DeviceId(device), ThingId(thing_id))
            self._things.put(thing_id, identity)
        return identity

    def devices(self, tenant_id: str, after: str, limit: int) -> list[Device]:
        """Devices of a tenant in the order of their ids."""
        return load_all(self.page(f"device/{tenant_id}/", after, limit), _DEVICE)

    def write_device(self, device: Device, value: bytes, before: Device | None) -> None:
        """Store ``device`` and the way back from its thing."""
        if before is not None and before.thing_id != device.thing_id:
            self._drop_thing(before)
        self.put(f"device/{device.tenant}/{device.id}", value)
        if (before is None or before.thing_id != device.thing_id) and not self._taken(device):
            self.put(f"thing/{device.thing_id}", f"{device.tenant}/{device.id}".encode())
            self._things.pop(device.thing_id)
        self._devices.put((device.tenant, device.id), device)

    def _taken(self, device: Device) -> bool:
        """Whether a newer device has the thing: ``device`` is then an old record told again."""
        owner = self.device_of(device.thing_id)
        if owner is None or (owner.tenant, owner.device) == (device.tenant, device.id):
            return False
        other = self.device(owner.tenant, owner.device)
        return other is not None and other.version > device.version

    def erase_device(self, device: Device) -> None:
        """Remove ``device``, its credentials and what points to it."""
        before = self.credentials(device.tenant, device.id)
        if before.version:
            self.write_credentials(CredentialSet(device.tenant, device.id), None, before)
        self._drop_thing(device)
        self.put(f"device/{device.tenant}/{device.id}", None)
        self._devices.pop((device.tenant, device.id))

    def _drop_thing(self, device: Device) -> None:
        found = self.device_of(device.thing_id)
        if found is not None and (found.tenant, found.device) == (device.tenant, device.id):
            self.put(f"thing/{device.thing_id}", None)
            self._things.pop(device.thing_id)

    # -- credentials -------------------------------------------------------------------------

    def credentials(self, tenant_id: str, device_id: str) -> CredentialSet:
        """The credentials of a device; an empty set if it has none."""
        found = load(self.get(f"credentials/{tenant_id}/{device_id}"), _CREDENTIALS)
        return found or CredentialSet(TenantId(tenant_id), DeviceId(device_id))

    def write_credentials(
        self, stored: CredentialSet, value: bytes | None, before: CredentialSet
    ) -> None:
        """Store the whole set; auth-ids that are no longer in it point nowhere."""
        tenant, device = stored.tenant, stored.device_id
        old = {(c.type, c.auth_id) for c in before.credentials}
        new = {(c.type, c.auth_id) for c in stored.credentials}
        for kind, auth_id in sorted(old - new):
            if self.device_of_auth(tenant, kind, auth_id) == device:
                self.put(f"auth/{tenant}/{kind}/{auth_id}", None)
        for kind, auth_id in sorted(new - old):
            owner = self.device_of_auth(tenant, kind, auth_id)
            if owner not in (None, device):
                assert owner is not None
                if self.credentials(tenant, owner).version > stored.version:
                    continue  # an old record told again: the name is another device's by now
            self.put(f"auth/{tenant}/{kind}/{auth_id}", device.encode())
        self.put(f"credentials/{tenant}/{device}", value)

    def device_of_auth(self, tenant_id: str, kind: str, auth_id: str) -> str | None:
        """The id of the device that an auth-id belongs to."""
        return self.get_text(f"auth/{tenant_id}/{kind}/{auth_id}")

    def _reset(self, _: LittoralError) -> None:
        # What was decided on top of the failed commit is void; the log has what holds.
        for cache in (self._tenants, self._namespaces, self._devices, self._things):
            cache.clear()
        for hook in self._on_reset:
            hook()


def load(value: bytes | None, decoder: msgspec.json.Decoder[T]) -> T | None:
    """Decode a stored value, if there is one; what has no checksum and cannot be read is none."""
    try:
        return None if value is None else decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        _logger.exception("a value of the registry cannot be read; write it again")
        return None


def load_all(values: Iterable[bytes], decoder: msgspec.json.Decoder[T]) -> list[T]:
    """Decode stored values; those that cannot be read are left out."""
    return [found for value in values if (found := load(value, decoder)) is not None]


def _seal_of(value: bytes) -> bytes:
    return b"#%08x" % crc32(value)
