"""Identifiers and their forms. Source: Ditto's rules for things and policies."""

import re
from typing import NewType

from littoral.kernel.errors import InvalidId, InvalidThingId
from littoral.kernel.limits import ID_CHARS_MAX

ThingId = NewType("ThingId", str)
"""``namespace:name``."""

PolicyId = NewType("PolicyId", str)
"""``namespace:name``."""

TenantId = NewType("TenantId", str)
DeviceId = NewType("DeviceId", str)
Subject = NewType("Subject", str)
"""``issuer:name``, as policies name it: ``nginx:ditto``, ``device:DEFAULT_TENANT:4711``."""

NodeId = NewType("NodeId", str)
"""A node's name: ``cloud``, or the name of a site."""

Origin = NewType("Origin", str)
"""``node/epoch``: the log that first accepted a record; the epoch is 16 hex digits."""

_NAMESPACE = r"(?:|[a-zA-Z]\w*(?:[.-][a-zA-Z]\w*)*)"
_ENTITY = re.compile(_NAMESPACE + r":[^\x00-\x1F\x7F-\xFF/]+", re.ASCII)
_NAMESPACE_ONLY = re.compile(r"[a-zA-Z]\w*(?:[.-][a-zA-Z]\w*)*", re.ASCII)
_NODE = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}")
_HONO = re.compile(r"[a-zA-Z0-9_.:=-]{1,256}")


def parse_entity_id(text: str) -> str:
    """Return ``text`` if it is a valid ``namespace:name``.

    Raises:
        InvalidId: too long, or not of that form.
    """
    if len(text) > ID_CHARS_MAX:
        raise InvalidId(
            f"an id has at most {ID_CHARS_MAX} characters; this one has {len(text)}.",
            hint="Shorten the namespace or the name.",
        )
    if _ENTITY.fullmatch(text) is None:
        raise InvalidId(
            f"{text!r} is not of the form namespace:name.",
            hint="A namespace is dot-separated words that begin with a letter; "
            "a name has no '/' and no control characters.",
        )
    return text


def parse_thing_id(text: str) -> ThingId:
    """Return ``text`` as a `ThingId`; raise `InvalidThingId` if it is none."""
    try:
        return ThingId(parse_entity_id(text))
    except InvalidId as e:
        raise InvalidThingId(e.message, hint=e.hint) from None


def parse_policy_id(text: str) -> PolicyId:
    """Return ``text`` as a `PolicyId`; raise `InvalidId` if it is none."""
    return PolicyId(parse_entity_id(text))


def parse_namespace(text: str) -> str:
    """Return ``text`` if it is a valid, non-empty namespace; raise `InvalidId` if not."""
    if len(text) > ID_CHARS_MAX or _NAMESPACE_ONLY.fullmatch(text) is None:
        raise InvalidId(f"{text!r} is not a namespace.", hint="Example: org.acme.plant-1.")
    return text


def parse_node_id(text: str) -> NodeId:
    """Return ``text`` as a `NodeId`: 1 to 63 letters, digits, ``_``, ``.`` and ``-``."""
    if _NODE.fullmatch(text) is None:
        raise InvalidId(f"{text!r} is not a node name.", hint="Example: site-one.")
    return NodeId(text)


def parse_hono_id(text: str) -> str:
    """Return ``text`` if it may name a tenant, a device or an auth-id. Source: Hono's registry."""
    if _HONO.fullmatch(text) is None:
        raise InvalidId(f"{text!r} is not an id.", hint="Use letters, digits and _ . : = - only.")
    return text


def namespace_of(entity_id: str) -> str:
    """The part before the first colon."""
    return entity_id.partition(":")[0]
