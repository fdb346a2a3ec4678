"""Who is it: names and passwords of devices and users.

Rule 1: every refusal costs one run of argon2, whatever was wrong, so that timing tells nothing;
the same wrong pair again costs nothing. Rule 2: the fast ways (found right before, or a SHA-2
secret) never leave the loop.
"""

import hashlib
from typing import NamedTuple

import msgspec

from littoral.kernel.errors import Forbidden, Unauthenticated
from littoral.kernel.ids import DeviceId, TenantId
from littoral.kernel.time import Entropy
from littoral.registry.core.cache import Lru, Verified
from littoral.registry.core.naming import identity_of
from littoral.registry.core.secrets import check_sha
from littoral.registry.model import (
    ARGON2,
    HASHED_PASSWORD,
    PASSWORD_BYTES_MAX,
    REFUSED_FOR_MS,
    REFUSED_MAX,
    USERNAME_CHARS_MAX,
    VERIFIED_MAX,
    DeviceIdentity,
    Secret,
    User,
    UserEntry,
)
from littoral.registry.ports import PasswordHasher
from littoral.registry.service.shelf import Shelf, load

_FOREVER = 1 << 62
_ROUNDS_MAX = 3
_USER_ENTRY = msgspec.json.Decoder(UserEntry)


class _Claim(NamedTuple):
    """Somebody whom a name stands for, and the secrets that would prove it now."""

    owner: str
    who: DeviceIdentity | UserEntry
    secrets: tuple[Secret, ...]


class Authenticator:
    """Checks passwords, and remembers what it found, in bounds.

    Invariant: an identity is given out only while its tenant, device or user is enabled, also if
    its password was found right long ago.
    """

    def __init__(self, shelf: Shelf, hasher: PasswordHasher, entropy: Entropy) -> None:
        self._shelf = shelf
        self._hasher = hasher
        self._key = entropy.token(32)
        self._verified: Verified[DeviceIdentity | UserEntry] = Verified(VERIFIED_MAX)
        self._refused: Lru[bytes, int] = Lru(REFUSED_MAX)
        self.admitted = 0
        self.turned_away = 0
        shelf.on_reset(self._reset)

    @property
    def remembered(self) -> tuple[int, int]:
        """How many pairs are known to be right, and to be wrong."""
        return len(self._verified), len(self._refused)

    def changed(self, owner: str) -> None:
        """Forget what was found about ``owner``; what was refused may be right now."""
        self._verified.forget(owner)
        self._refused.clear()

    def device_nowait(self, username: str, password: str) -> DeviceIdentity | None:
        """The device, if that can be said at once; None if argon2 must be asked."""
        who = self._recall(b"device", username, password)
        assert not isinstance(who, UserEntry)
        return None if who is None else self._admit_device(who)

    async def device(self, username: str, password: str) -> DeviceIdentity:
        """The device whose name and password these are."""
        who = self._recall(b"device", username, password)
        if who is None:
            who = await self._find(b"device", username, password)
        assert isinstance(who, DeviceIdentity)
        return self._admit_device(who)

    async def user(self, name: str, password: str) -> User:
        """The user whose name and password these are."""
        who = self._recall(b"user", name, password)
        if who is None:
            who = await self._find(b"user", name, password)
        assert isinstance(who, UserEntry)
        self.admitted += 1
        return who.user()

    def _recall(
        self, domain: bytes, username: str, password: str
    ) -> DeviceIdentity | UserEntry | None:
        if len(username) > USERNAME_CHARS_MAX or len(password) > PASSWORD_BYTES_MAX:
            raise self._wrong()
        digest = self._digest(domain, username, password)
        now_ms = self._shelf.now_ms()
        who = self._verified.recall(digest, now_ms)
        if who is not None:
            return who
        refused_until = self._refused.get(digest)
        if refused_until is not None and now_ms < refused_until:
            raise self._wrong()
        claim = self._claim(domain, username, now_ms)
        if claim is not None:
            raw = _raw(password)
            for secret in claim.secrets:
                if secret.function != ARGON2 and check_sha(secret, raw):
                    return self._found(digest, claim, secret)
        return None

    async def _find(
        self, domain: bytes, username: str, password: str
    ) -> DeviceIdentity | UserEntry:
        """Ask argon2. What it was asked about may change meanwhile; then it is asked again."""
        digest = self._digest(domain, username, password)
        for _ in range(_ROUNDS_MAX):
            claim = self._claim(domain, username, self._shelf.now_ms())
            proof = await self._prove(claim, password)
            if claim != self._claim(domain, username, self._shelf.now_ms()):
                continue
            if claim is not None and proof is not None:
                return self._found(digest, claim, proof)
            self._refused.put(digest, self._shelf.now_ms() + REFUSED_FOR_MS)
            break
        raise self._wrong()

    async def _prove(self, claim: _Claim | None, password: str) -> Secret | None:
        secrets = () if claim is None else claim.secrets
        asked = False
        for secret in secrets:
            if secret.function == ARGON2:
                asked = True
                if await self._hasher.verify(password, secret.hash):
                    return secret
        if not asked:
            await self._hasher.decoy(password)
        return None

    def _found(self, digest: bytes, claim: _Claim, secret: Secret) -> DeviceIdentity | UserEntry:
        until_ms = _FOREVER if secret.not_after_ms is None else secret.not_after_ms
        self._verified.remember(digest, claim.owner, claim.who, until_ms=until_ms)
        return claim.who

    def _claim(self, domain: bytes, username: str, now_ms: int) -> _Claim | None:
        if not username.isascii():
            return None  # no name is, and not every text can be a key
        if domain == b"user":
            entry = load(self._shelf.get(f"user/{username}"), _USER_ENTRY)
            if entry is None:
                return None
            return _Claim(f"user:{username}", entry, _holding((entry.secret,), now_ms))
        auth_id, at, tenant = username.partition("@")
        if not at:
            return None
        device_id = self._shelf.device_of_auth(tenant, HASHED_PASSWORD, auth_id)
        device = None if device_id is None else self._shelf.device(tenant, device_id)
        if device is None:
            return None
        for credential in self._shelf.credentials(tenant, device.id).credentials:
            if credential.auth_id == auth_id and credential.enabled:
                return _Claim(
                    f"device:{tenant}/{device.id}",
                    identity_of(TenantId(tenant), DeviceId(device.id), device.thing_id),
                    _holding(credential.secrets, now_ms),
                )
        return None

    def _admit_device(self, who: DeviceIdentity) -> DeviceIdentity:
        tenant = self._shelf.tenant(who.tenant)
        device = self._shelf.device(who.tenant, who.device)
        if tenant is None or device is None:
            raise self._wrong()
        if not tenant.enabled:
            raise self._disabled("tenant", tenant.id)
        if not device.enabled:
            raise self._disabled("device", device.id)
        self.admitted += 1
        return who

    def _disabled(self, what: str, name: str) -> Forbidden:
        self.turned_away += 1
        return Forbidden(f"{what} {name} is disabled.", hint="An administrator can enable it.")

    def _wrong(self) -> Unauthenticated:
        self.turned_away += 1
        return Unauthenticated(
            "name or password is wrong.",
            hint="A device signs in as auth-id@tenant, a user by name.",
        )

    def _digest(self, domain: bytes, username: str, password: str) -> bytes:
        name = _raw(username)
        # The length keeps "a" + "b\0c" and "a\0b" + "c" apart.
        text = len(name).to_bytes(4) + name + _raw(password)
        return hashlib.blake2b(text, digest_size=16, key=self._key, person=domain).digest()

    def _reset(self) -> None:
        self._verified.clear()
        self._refused.clear()


def _holding(secrets: tuple[Secret, ...], now_ms: int) -> tuple[Secret, ...]:
    return tuple(secret for secret in secrets if secret.holds_at(now_ms))


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
