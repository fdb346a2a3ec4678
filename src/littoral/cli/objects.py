"""What ``get`` and ``describe`` show of each kind, out of what a node answers."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice

import msgspec

from littoral.cli.kinds import Kind, device_name
from littoral.client import ApiError, Client

CHUNK = 50
"""Things per request: what a node answers at a time."""

POLICY_FIELDS = "policyId,entries,imports,_revision,_created,_modified"
THING_FIELDS = "thingId,policyId,definition,attributes,features,_revision,_created,_modified"

COLUMNS: Mapping[Kind, tuple[Sequence[str], str | Callable[[Mapping[str, object]], str]]] = {
    Kind.THING: (("thingId", "policyId", "features", "_revision", "_modified"), "thingId"),
    Kind.DEVICE: (
        ("tenant", "id", "thingId", "enabled"),
        lambda row: f"{row['tenant']}/{row['id']}",
    ),
    Kind.SITE: (
        ("name", "tenants", "enrolled", "link", "session", "flow", "backlog", "autonomy_h"),
        "name",
    ),
    Kind.TENANT: (("id", "namespaces", "defaultPolicy", "enabled"), "id"),
    Kind.POLICY: (("policyId", "entries", "imports", "_revision", "_modified"), "policyId"),
    Kind.USER: (("name", "roles", "subjects"), "name"),
    Kind.API_KEY: (("id", "subjects", "roles", "comment", "created", "expires"), "id"),
}


def found(
    client: Client,
    kind: Kind,
    names: Sequence[str],
    *,
    tenant: str | None = None,
    namespaces: Sequence[str] = (),
    query: str | None = None,
) -> Iterator[dict[str, object]]:
    """The objects of a kind, or those that are named; read from the node as they are taken."""
    match kind:
        case Kind.THING if query is not None:
            ids = client.search.ids(query, namespaces=namespaces)
            yield from _things(client, (one for one in ids if not names or one in names))
        case Kind.THING:
            yield from _things(client, names or client.things.ids(namespaces=namespaces))
        case Kind.POLICY:
            yield from _policies(client, names, namespaces)
        case Kind.DEVICE:
            for device in client.administration.devices(tenant):
                if not names or device.id in names or f"{device.tenant}/{device.id}" in names:
                    yield _members(device)
        case Kind.TENANT:
            yield from (
                _members(one)
                for one in client.administration.tenants()
                if not names or one.id in names
            )
        case Kind.SITE:
            yield from (
                _site(one)
                for one in client.administration.sites()
                if not names or one.name in names
            )
        case Kind.USER:
            yield from _each(names, client.administration.users, client.administration.user)
        case Kind.API_KEY:
            yield from _each(names, client.administration.api_keys, client.administration.api_key)


def crossing_off(
    missing: dict[str, None], kind: Kind, rows: Iterable[dict[str, object]]
) -> Iterator[dict[str, object]]:
    """The same rows; what they name leaves ``missing``."""
    name = COLUMNS[kind][1]
    for row in rows:
        missing.pop(str(row[name]) if isinstance(name, str) else name(row), None)
        if kind is Kind.DEVICE:
            missing.pop(str(row["id"]), None)
        yield row


def delete(client: Client, kind: Kind, name: str) -> None:
    """Delete one object.

    Raises:
        typer.BadParameter: ``name`` is none of such an object; ApiError: the node refuses.
    """
    match kind:
        case Kind.THING:
            client.things.delete(name)
        case Kind.POLICY:
            client.policies.delete(name)
        case Kind.TENANT:
            client.administration.delete_tenant(name)
        case Kind.DEVICE:
            client.administration.delete_device(*device_name(name))
        case Kind.SITE:
            client.administration.delete_site(name)
        case Kind.USER:
            client.administration.delete_user(name)
        case Kind.API_KEY:
            client.administration.revoke_api_key(name)


def whole(client: Client, kind: Kind, name: str) -> object | None:
    """One object with everything that is known of it; None if it is not there."""
    try:
        match kind:
            case Kind.THING:
                thing: object = client.things.get(name, fields=THING_FIELDS)
                return thing
            case Kind.POLICY:
                policy: object = client.policies.get(name, fields=POLICY_FIELDS)
                return policy
            case Kind.DEVICE:
                tenant, slash, _ = name.partition("/")
                matches = list(found(client, kind, [name], tenant=tenant if slash else None))
            case _:
                matches = list(found(client, kind, [name]))
    except ApiError as e:
        if e.status == 404:
            return None
        raise
    return matches[0] if matches else None


def _members(value: object) -> dict[str, object]:
    members = msgspec.to_builtins(value)
    assert isinstance(members, dict)
    return members


def _each(
    names: Sequence[str], listed: Callable[[], Iterable[object]], one: Callable[[str], object]
) -> Iterator[dict[str, object]]:
    """All, or those that are named and there; the secret of a key is never in it."""
    values = _there(one, names) if names else listed()
    for value in values:
        members = _members(value)
        members.pop("key", None)
        yield members


def _there(read: Callable[[str], object], names: Iterable[str]) -> Iterator[object]:
    for name in names:
        try:
            yield read(name)
        except ApiError as e:
            if e.status != 404:
                raise


def _site(site: object) -> dict[str, object]:
    row = _members(site)
    link = row["link"] or {}
    assert isinstance(link, dict)
    for name in ("link", "session", "flow"):
        row[name] = bool(link.get(name))
    row["backlog"] = link.get("backlog_records")
    row["autonomy_h"] = link.get("autonomy_h")
    row["measured"] = link
    return row


def _things(client: Client, ids: Iterable[str]) -> Iterator[dict[str, object]]:
    rest = iter(ids)
    while chunk := list(islice(rest, CHUNK)):
        yield from client.things.get_many(chunk, fields=THING_FIELDS)


def _policies(
    client: Client, names: Sequence[str], namespaces: Sequence[str]
) -> Iterator[dict[str, object]]:
    for name in names or client.policies.ids(namespaces=namespaces):
        # One that went, or that may not be read any more, is not in the list.
        policy = whole(client, Kind.POLICY, name)
        if isinstance(policy, dict):
            yield policy
