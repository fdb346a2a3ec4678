"""What a new node begins with: an administrator, or the well-known development identities."""

import contextlib
from base64 import urlsafe_b64encode

from littoral.kernel.errors import Forbidden, Unauthenticated
from littoral.kernel.time import Entropy
from littoral.registry.model import Role
from littoral.registry.service.registry import Registry

DEVELOPMENT_TENANT = "DEFAULT_TENANT"
DEVELOPMENT_NAMESPACE = "org.littoral"
DEVELOPMENT_POLICY = "org.littoral:default"
_USERS = (("ditto", "ditto", Role.USER), ("devops", "foobar", Role.ADMIN))
_DEVICE = ("4711", "sensor1", "hono-secret")


def seed_development(registry: Registry) -> None:
    """Make the identities that every Ditto and Hono tutorial knows; what is there is left alone.

    They are in every manual: for a laptop, behind a loud warning. Their passwords are hashed as if
    they were generated, because hiding them is no use.
    """
    for name, password, role in _USERS:
        if registry.user(name) is None:
            registry.put_user(name, generated_password=password, roles=[role])
    if registry.tenant(DEVELOPMENT_TENANT) is None:
        registry.put_tenant(
            DEVELOPMENT_TENANT,
            namespaces=[DEVELOPMENT_NAMESPACE],
            default_policy=DEVELOPMENT_POLICY,
        )
    device_id, auth_id, password = _DEVICE
    if registry.device(DEVELOPMENT_TENANT, device_id) is None:
        registry.put_device(DEVELOPMENT_TENANT, device_id)
        registry.put_credentials(
            DEVELOPMENT_TENANT,
            device_id,
            [
                {
                    "type": "hashed-password",
                    "auth-id": auth_id,
                    "secrets": [{"pwd-plain": password, "hash-function": "sha-256"}],
                }
            ],
        )


async def found_development(registry: Registry) -> list[str]:
    """Those of `seed_development` whose passwords are still the ones that everybody knows.

    Raises:
        HasherBusy: too many passwords wait to be checked.
    """
    found = []
    for name, password, _ in _USERS:
        if registry.user(name) is not None:
            with contextlib.suppress(Unauthenticated):
                await registry.authenticate_user(name, password)
                found.append(f"user {name}")
    device_id, auth_id, password = _DEVICE
    if registry.device(DEVELOPMENT_TENANT, device_id) is not None:
        with contextlib.suppress(Unauthenticated, Forbidden):
            await registry.authenticate_device(f"{auth_id}@{DEVELOPMENT_TENANT}", password)
            found.append(f"device {DEVELOPMENT_TENANT}/{device_id}")
    return found


def generate_admin(registry: Registry, entropy: Entropy, *, name: str = "admin") -> str | None:
    """Make the first administrator and return its password, to be shown once.

    None if there is an administrator already.
    """
    after = ""
    while page := registry.users(after=after):
        if any(user.is_admin for user in page):
            return None
        after = page[-1].name
    password = urlsafe_b64encode(entropy.token(18)).decode()
    registry.put_user(name, generated_password=password, roles=[Role.ADMIN])
    return password
