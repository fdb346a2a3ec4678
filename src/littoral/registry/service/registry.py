"""The front of the registry: what is put, deleted, listed and asked."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from littoral.kernel.ids import namespace_of, parse_policy_id, parse_thing_id
from littoral.kernel.time import Clock, Entropy
from littoral.log import Log, Record
from littoral.registry.core.drafts import check_ext, parse_credentials
from littoral.registry.core.naming import (
    identity_of,
    parse_device_id,
    parse_namespaces,
    parse_tenant_id,
    thing_id_for,
)
from littoral.registry.errors import InvalidRegistration, NotRegistered, RegistrationConflict
from littoral.registry.model import (
    CredentialSet,
    Device,
    DeviceIdentity,
    IssuedToken,
    RegistryChange,
    RegistryStatistics,
    Role,
    Site,
    Tenant,
    User,
)
from littoral.registry.ports import PasswordHasher
from littoral.registry.service.apikeys import ApiKeys
from littoral.registry.service.authentication import Authenticator
from littoral.registry.service.credentials import Credentials
from littoral.registry.service.replica import Gone, Replica, takes_away
from littoral.registry.service.shelf import Shelf, encode
from littoral.registry.service.sites import Sites
from littoral.registry.service.telling import RegistryTelling
from littoral.registry.service.users import Users

_NO_EXT: Mapping[str, object] = {}


class Registry:
    """Tenants, devices, credentials, users and sites of a node.

    What changes something is synchronous: it decides and writes into the log's open batch, and is
    seen by every later call; the caller awaits ``log.wait()`` before it tells anybody. Putting what
    is there already changes nothing and writes nothing.

    Args:
        replica: whether this registry follows another one (a site its cloud's): only then do
            `apply_remote`'s records change what is known here. Elsewhere they are history: what a
            site says of tenants and devices gives nobody access to the cloud.

    Invariant: memory is a bounded cache of what the log keeps.
    """

    def __init__(
        self,
        log: Log,
        hasher: PasswordHasher,
        clock: Clock,
        entropy: Entropy,
        *,
        replica: bool = False,
    ) -> None:
        self._log = log
        self._shelf = Shelf(log, clock)
        self._doors = Authenticator(self._shelf, hasher, entropy)
        self._credentials = Credentials(self._shelf, hasher, entropy)
        self._users = Users(self._shelf, self._doors, hasher, entropy)
        self._sites = Sites(self._shelf, entropy)
        self.api_keys = ApiKeys(self._shelf, entropy)
        self._replica = Replica(log, self._shelf, self._doors, self._sites) if replica else None
        self.telling = RegistryTelling(log, self._shelf, self._replica)

    # -- who is it -----------------------------------------------------------------------------

    async def authenticate_device(self, username: str, password: str) -> DeviceIdentity:
        """The device that signs in as ``auth-id@tenant``; the name is split at its first ``@``.

        Raises:
            Unauthenticated: no such device, or a wrong password.
            Forbidden: the password is right, but the device or its tenant is disabled.
            HasherBusy: too many passwords wait to be checked.
        """
        return await self._doors.device(username, password)

    def authenticate_device_nowait(self, username: str, password: str) -> DeviceIdentity | None:
        """The same, if it can be said without a thread; None if `authenticate_device` must be asked."""
        return self._doors.device_nowait(username, password)

    async def authenticate_user(self, name: str, password: str) -> User:
        """The user of that name and password; raises like `authenticate_device`."""
        return await self._doors.user(name, password)

    # -- tenants -------------------------------------------------------------------------------

    def tenant(self, tenant_id: str) -> Tenant | None:
        """The tenant of that id."""
        return self._shelf.tenant(tenant_id)

    def tenant_of_namespace(self, namespace: str) -> Tenant | None:
        """The tenant that owns a namespace."""
        found = self._shelf.tenant_of_namespace(namespace)
        return None if found is None else self._shelf.tenant(found)

    def tenants(self, *, after: str = "", limit: int = 1000) -> list[Tenant]:
        """Tenants in the order of their ids; the next page begins after the last one's id."""
        return self._shelf.tenants(after, limit)

    def put_tenant(
        self,
        tenant_id: str,
        *,
        namespaces: Sequence[str],
        default_policy: str | None = None,
        enabled: bool = True,
        ext: Mapping[str, object] = _NO_EXT,
    ) -> Tenant:
        """Make a tenant, or replace what is known of it.

        Its namespaces belong to it alone; the first names the things of devices whose ids name
        none. The default policy is that of things that its devices make, and
        ``<first namespace>:default`` if not given.

        Raises:
            RegistrationConflict: a namespace belongs to another tenant, or one that is left out
                still has things of devices in it.
        """
        names = parse_namespaces(namespaces)
        policy = default_policy or f"{names[0]}:default"
        check_ext(ext)
        tenant = Tenant(parse_tenant_id(tenant_id), names, parse_policy_id(policy), enabled, ext)
        before = self._shelf.tenant(tenant_id)
        self._check_namespaces(before, tenant)
        if before is not None and tenant == replace(before, version=0):
            return before
        tenant = replace(tenant, version=self._next(before))
        value = encode(tenant)
        self._shelf.write_tenant(tenant, value)
        self._shelf.record("tenant.modified", f"tenant:{tenant.id}", value)
        self._doors.changed("")
        self._shelf.announce("tenant.modified", tenant.id, tenant.id, ends_access=not enabled)
        return tenant

    def delete_tenant(self, tenant_id: str) -> None:
        """Remove a tenant that has no devices any more."""
        tenant = self._tenant(tenant_id)
        if self._shelf.has_any(f"device/{tenant_id}/"):
            raise RegistrationConflict(
                f"tenant {tenant_id} still has devices.", hint="Delete its devices first."
            )
        self._shelf.erase_tenant(tenant)
        gone = encode(Gone(tenant.id, self._next(tenant)))
        self._shelf.record("tenant.deleted", f"tenant:{tenant.id}", gone)
        self._shelf.announce("tenant.deleted", tenant.id, tenant.id, ends_access=True)

    # -- devices -------------------------------------------------------------------------------

    def device(self, tenant_id: str, device_id: str) -> Device | None:
        """The device of that id."""
        return self._shelf.device(tenant_id, device_id)

    def identity(self, tenant_id: str, device_id: str) -> DeviceIdentity:
        """Who a device is, for a door that knows it by other means; raises `NotRegistered`."""
        device = self._device(tenant_id, device_id)
        return identity_of(device.tenant, device.id, device.thing_id)

    def device_of(self, thing_id: str) -> DeviceIdentity | None:
        """The device whose thing it is; None if no device has it."""
        return self._shelf.device_of(thing_id)

    def devices(self, tenant_id: str, *, after: str = "", limit: int = 1000) -> list[Device]:
        """Devices of a tenant in the order of their ids."""
        return self._shelf.devices(tenant_id, after, limit)

    def put_device(
        self,
        tenant_id: str,
        device_id: str,
        *,
        enabled: bool = True,
        thing_id: str | None = None,
        ext: Mapping[str, object] = _NO_EXT,
    ) -> Device:
        """Register a device, or replace what is known of it; its credentials stay.

        Its thing is decided at the first registration and stays: ``thing_id`` if given (in one of
        the tenant's namespaces), else the device id if that is such an id, else
        ``<first namespace>:<device id>``.

        Raises:
            NotRegistered: no such tenant.
            RegistrationConflict: the thing is another device's, or not the one that it has.
            InvalidId: the device's id is invalid, or cannot be made into a thing id.
        """
        tenant = self._tenant(tenant_id)
        name = parse_device_id(device_id)
        before = self._shelf.device(tenant_id, device_id)
        if before is not None:
            thing = before.thing_id
            if thing_id not in {None, thing}:
                raise RegistrationConflict(
                    f"device {device_id} has thing {thing}, and keeps it.",
                    hint="Leave the thing id out, or delete the device first.",
                )
            if enabled is before.enabled and ext == before.ext:
                return before
        elif thing_id is None:
            thing = thing_id_for(tenant.namespaces, name)
        else:
            thing = parse_thing_id(thing_id)
            if namespace_of(thing) not in tenant.namespaces:
                raise InvalidRegistration(
                    f"thing {thing} is in no namespace of tenant {tenant_id}.",
                    hint=f"Its namespaces: {', '.join(tenant.namespaces)}.",
                )
        check_ext(ext)
        if before is None:
            self._check_thing(thing, tenant_id, device_id)
        device = Device(tenant.id, name, thing, enabled, ext, self._next(before))
        value = encode(device)
        self._shelf.write_device(device, value, before)
        self._shelf.record("device.modified", f"device:{tenant.id}/{name}", value)
        self._doors.changed(f"device:{tenant.id}/{name}")
        self._shelf.announce("device.modified", tenant.id, name, ends_access=not enabled)
        return device

    def delete_device(self, tenant_id: str, device_id: str) -> None:
        """Remove a device and its credentials; its thing stays."""
        device = self._device(tenant_id, device_id)
        version = max(device.version, self._shelf.credentials(tenant_id, device_id).version)
        gone = Gone(device.id, self._shelf.next_version(version), device.tenant)
        self._shelf.erase_device(device)
        self._shelf.record("device.deleted", f"device:{device.tenant}/{device.id}", encode(gone))
        self._doors.changed(f"device:{device.tenant}/{device.id}")
        self._shelf.announce("device.deleted", device.tenant, device.id, ends_access=True)

    # -- credentials -----------------------------------------------------------------------------

    def credentials(self, tenant_id: str, device_id: str) -> CredentialSet:
        """The credentials of a device; raises `NotRegistered` if there is no such device."""
        self._device(tenant_id, device_id)
        return self._shelf.credentials(tenant_id, device_id)

    def put_credentials(self, tenant_id: str, device_id: str, documents: object) -> CredentialSet:
        """Replace the credentials of a device by an array as Hono takes it; none needs argon2.

        Raises:
            NotRegistered: no such device.
            RegistrationConflict: an auth-id is another device's.
            InvalidRegistration: not of the right form, or a plain password that people chose: that
                must be hashed first, see `set_credentials`.
        """
        device = self._device(tenant_id, device_id)
        before = self._shelf.credentials(tenant_id, device_id)
        made = self._credentials.make(device, before, parse_credentials(documents), {})
        return self._write_credentials(before, made)

    async def set_credentials(
        self, tenant_id: str, device_id: str, documents: object
    ) -> CredentialSet:
        """The same with any passwords: plain ones are hashed with argon2id off the loop.

        A plain password that is right already is left as it is stored.
        """
        drafts = parse_credentials(documents)
        device = self._device(tenant_id, device_id)
        before = self._shelf.credentials(tenant_id, device_id)
        hashed = await self._credentials.hash(before, drafts)
        # The world may have changed while argon2 ran.
        device = self._device(tenant_id, device_id)
        before = self._shelf.credentials(tenant_id, device_id)
        return self._write_credentials(
            before, self._credentials.make(device, before, drafts, hashed)
        )

    def delete_credentials(self, tenant_id: str, device_id: str) -> None:
        """Remove all credentials of a device: it can sign in no more."""
        self._device(tenant_id, device_id)
        before = self._shelf.credentials(tenant_id, device_id)
        if before.credentials:
            self._write_credentials(before, replace(before, credentials=()))

    # -- users -----------------------------------------------------------------------------------

    def user(self, name: str) -> User | None:
        """The user of that name."""
        return self._users.find(name)

    def users(self, *, after: str = "", limit: int = 1000) -> list[User]:
        """Users in the order of their names."""
        return self._users.page(after, limit)

    async def set_user(
        self, name: str, password: str, *, roles: Sequence[Role] = (Role.USER,)
    ) -> User:
        """Make a user, or give one a new password (chosen by a person: argon2id) and roles."""
        return await self._users.set(name, password, roles)

    def put_user(
        self, name: str, *, generated_password: str, roles: Sequence[Role] = (Role.USER,)
    ) -> User:
        """The same for a generated password, which salted SHA-256 is enough for."""
        return self._users.put_generated(name, generated_password, roles)

    def delete_user(self, name: str) -> None:
        """Remove a user."""
        self._users.delete(name)

    # -- sites -----------------------------------------------------------------------------------

    def site(self, name: str) -> Site | None:
        """The site of that name."""
        return self._sites.find(name)

    def sites(self, *, after: str = "", limit: int = 1000) -> list[Site]:
        """Sites in the order of their names."""
        return self._sites.page(after, limit)

    def site_of_key(self, fingerprint: str) -> Site | None:
        """The site that a public key belongs to, revoked or not."""
        return self._sites.of_key(fingerprint)

    def site_of_certificate(self, serial: str) -> Site | None:
        """The site that a certificate was issued for, revoked or not."""
        return self._sites.of_certificate(serial)

    def put_site(
        self, name: str, *, tenants: Sequence[str] | None = None, revoked: bool | None = None
    ) -> Site:
        """Make or change a site; what is None stays. ``revoked`` ends its links."""
        return self._sites.put(name, tenants, revoked=revoked)

    def add_certificate(
        self, name: str, serial: str, *, key_fingerprint: str | None = None
    ) -> Site:
        """Note a certificate that was issued for a site, and its key if that is new."""
        return self._sites.add_certificate(name, serial, key_fingerprint)

    def delete_site(self, name: str) -> None:
        """Remove a site with its keys."""
        self._sites.delete(name)

    def issue_token(
        self, site: str, tenants: Sequence[str] | None = None, *, ttl_ms: int = 3_600_000
    ) -> IssuedToken:
        """Make a one-time token for a site to enrol; its text is shown once and stored hashed."""
        return self._sites.issue(site, tenants, ttl_ms=ttl_ms)

    def site_of_token(self, token: str) -> Site:
        """The site that a token is for; raises `InvalidToken` if it was never issued."""
        return self._sites.of_token(token)

    def redeem_token(
        self, token: str, *, key_fingerprint: str, issue: Callable[[], bytes]
    ) -> bytes:
        """Use a token up for one key and return its certificate; see `Sites.redeem`.

        Raises:
            InvalidToken: unknown, expired, or used with another key or too long ago.
            Forbidden: the site is revoked.
        """
        return self._sites.redeem(token, key_fingerprint=key_fingerprint, issue=issue)

    # -- the rest of the node ----------------------------------------------------------------------

    def on_change(self, hook: Callable[[RegistryChange], None]) -> None:
        """Call ``hook`` at every change, on the loop, when it is decided (not yet durable)."""
        self._shelf.on_change(hook)

    def apply_remote(self, record: Record) -> None:
        """Take one record of another node's registry into the open batch; see the class."""
        if self._replica is None:
            self._log.append_remote(record, 0, 0)
        else:
            self._replica.apply(record)

    def statistics(self) -> RegistryStatistics:
        """What the registry would tell about itself."""
        return RegistryStatistics(
            *self._doors.remembered,
            *self._shelf.cached,
            self._doors.admitted,
            self._doors.turned_away,
            len(self._shelf.damaged),
        )

    def _tenant(self, tenant_id: str) -> Tenant:
        tenant = self._shelf.tenant(tenant_id)
        if tenant is None:
            raise NotRegistered(f"there is no tenant {tenant_id[:128]!r}.")
        return tenant

    def _device(self, tenant_id: str, device_id: str) -> Device:
        device = self._shelf.device(tenant_id, device_id)
        if device is None:
            raise NotRegistered(f"tenant {tenant_id[:128]!r} has no device {device_id[:256]!r}.")
        return device

    def _next(self, before: Tenant | Device | None) -> int:
        return self._shelf.next_version(0 if before is None else before.version)

    def _check_namespaces(self, before: Tenant | None, tenant: Tenant) -> None:
        for namespace in tenant.namespaces:
            owner = self._shelf.tenant_of_namespace(namespace)
            if owner not in {None, tenant.id}:
                raise RegistrationConflict(
                    f"namespace {namespace} belongs to tenant {owner}.",
                    hint="A namespace belongs to one tenant; choose another one.",
                )
        for namespace in () if before is None else before.namespaces:
            if namespace not in tenant.namespaces and self._shelf.has_any(f"thing/{namespace}:"):
                raise RegistrationConflict(
                    f"namespace {namespace} still has things of devices of tenant {tenant.id}.",
                    hint="Delete these devices first, or keep the namespace.",
                )

    def _check_thing(self, thing_id: str, tenant_id: str, device_id: str) -> None:
        other = self._shelf.device_of(thing_id)
        if other is not None and (other.tenant, other.device) != (tenant_id, device_id):
            raise RegistrationConflict(
                f"thing {thing_id} is that of device {other.device} already.",
                hint="Choose another id for the device.",
            )

    def _write_credentials(self, before: CredentialSet, made: CredentialSet) -> CredentialSet:
        if made.credentials == before.credentials:
            return before
        made = replace(made, version=self._shelf.next_version(before.version))
        value = encode(made)
        self._shelf.write_credentials(made, value, before)
        kind = "credentials.modified" if made.credentials else "credentials.deleted"
        entity = f"device:{made.tenant}/{made.device_id}"
        self._shelf.record(kind, entity, value, "/credentials")
        self._doors.changed(entity)
        self._shelf.announce(
            kind, made.tenant, made.device_id, ends_access=takes_away(before, made)
        )
        return made
