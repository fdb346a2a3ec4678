"""Which names are allowed, and which thing is the twin of a device."""

import re
from collections.abc import Sequence

from littoral.kernel.errors import InvalidId
from littoral.kernel.ids import (
    DeviceId,
    Subject,
    TenantId,
    ThingId,
    parse_hono_id,
    parse_namespace,
    parse_thing_id,
)
from littoral.registry.errors import InvalidRegistration
from littoral.registry.model import NAMESPACES_MAX, DeviceIdentity

# Narrower than Hono's device ids: a colon or an equals sign would make the subject
# device:<tenant>:<device> ambiguous. Source: Hono's pattern for tenants.
_TENANT = re.compile(r"[a-zA-Z0-9_.-]{1,128}")
# Basic authentication splits at the first colon.
_USER = re.compile(r"[a-zA-Z0-9_.@=-]{1,128}")


def parse_tenant_id(text: str) -> TenantId:
    """Return ``text`` as a `TenantId`; raise `InvalidId` if it is none."""
    if _TENANT.fullmatch(text) is None:
        raise InvalidId(
            f"{text[:140]!r} is not the id of a tenant.",
            hint="Use up to 128 letters, digits, '_', '.' and '-'.",
        )
    return TenantId(text)


def parse_device_id(text: str) -> DeviceId:
    """Return ``text`` as a `DeviceId`; raise `InvalidId` if it is none."""
    return DeviceId(parse_hono_id(text))


def parse_user_name(text: str) -> str:
    """Return ``text`` if it may name a user; raise `InvalidId` if not."""
    if _USER.fullmatch(text) is None:
        raise InvalidId(
            f"{text[:140]!r} is not the name of a user.",
            hint="Use up to 128 letters, digits, '_', '.', '@', '=' and '-'.",
        )
    return text


def parse_namespaces(texts: Sequence[str]) -> tuple[str, ...]:
    """Return the namespaces of a tenant in their order, each once.

    Raises:
        InvalidRegistration: none, or too many.
        InvalidId: one is no namespace.
    """
    if isinstance(texts, str) or not texts:
        raise InvalidRegistration(
            "a tenant needs at least one namespace.",
            hint="The first one names the things of its devices; example: org.acme.",
        )
    namespaces = tuple(dict.fromkeys(parse_namespace(text) for text in texts))
    if len(namespaces) > NAMESPACES_MAX:
        raise InvalidRegistration(f"a tenant has at most {NAMESPACES_MAX} namespaces.")
    return namespaces


def thing_id_for(namespaces: tuple[str, ...], device_id: DeviceId) -> ThingId:
    """The thing of a device: its id, if that is in one of its tenant's namespaces.

    Otherwise the id becomes the name in the tenant's first namespace.

    Raises:
        InvalidId: together they are too long for a thing id.
    """
    namespace, colon, name = device_id.partition(":")
    if colon and name and namespace in namespaces:
        return parse_thing_id(device_id)
    try:
        return parse_thing_id(f"{namespaces[0]}:{device_id}")
    except InvalidId as e:
        raise InvalidId(
            f"device {device_id[:40]!r} cannot have a thing in namespace {namespaces[0]!r}: "
            f"{e.message}",
            hint="Choose a shorter id for the device.",
        ) from e


def identity_of(tenant: TenantId, device: DeviceId, thing_id: ThingId) -> DeviceIdentity:
    """Who a device is, for the doors and for policies."""
    return DeviceIdentity(tenant, device, thing_id, Subject(f"device:{tenant}:{device}"))
