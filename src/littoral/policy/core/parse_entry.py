"""From the JSON of one entry to an `Entry`, or to Ditto's refusal."""

import re
from collections.abc import Mapping
from types import MappingProxyType

from littoral.kernel import pointer, time
from littoral.kernel.errors import InvalidId, InvalidPointer
from littoral.kernel.ids import parse_namespace
from littoral.policy.errors import (
    InvalidAnnouncement,
    InvalidExpiry,
    InvalidPolicy,
    InvalidSubject,
)
from littoral.policy.model import (
    ANNOUNCEMENT_MS_MAX,
    PERMISSIONS,
    RESOURCE_TYPES,
    Addition,
    Announcement,
    Entry,
    Importable,
    Reference,
    Resource,
    Subject,
)

_KNOWN = frozenset(
    (
        "subjects", "resources", "namespaces", "importable", "allowedAdditions", "references",
    )
)  # fmt: skip
_ADDITIONS = tuple(str(one) for one in Addition)
_DURATION = re.compile(r"(\d{1,9})(ms|s|m|h|d)", re.ASCII)
_UNIT_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_ACK_LABEL = re.compile(r"[a-zA-Z0-9_:-]{3,100}|\{\{\s*connection:id\s*\}\}[a-zA-Z0-9_:-]{0,100}")
_TIMEOUT_MS = 60_000
_SPREAD_MS = 5 * 60_000
"""Ditto's default of ``randomizationInterval``."""


def entry_of(label: str, value: object, reported: list[str], *, strict: bool) -> Entry:
    """Read one entry; what is unknown of it is kept and noted in ``reported``.

    If not ``strict``, for stored entries, what has no meaning any more is left without effect.
    """
    where = f"entry {label!r}"
    document = read_object(value, where)
    subjects = read_object(document.get("subjects", {}), f"'subjects' of {where}")
    resources = read_object(document.get("resources", {}), f"'resources' of {where}")
    extra = {k: v for k, v in document.items() if k not in _KNOWN and not k.startswith("_")}
    reported += [pointer.render(("entries", label, key)) for key in extra]
    return Entry(
        label,
        tuple(_subject(name, one, where, strict=strict) for name, one in subjects.items()),
        tuple(_resource(key, one, where) for key, one in resources.items()),
        _namespaces(document.get("namespaces"), where),
        _importable(document.get("importable"), where),
        _additions(document.get("allowedAdditions"), where),
        _references(document.get("references"), where),
        MappingProxyType(extra),
    )


def _namespaces(value: object, where: str) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list):
        raise InvalidPolicy(f"'namespaces' of {where} is not a list.")
    for one in value:
        if not isinstance(one, str) or not _is_pattern(one):
            raise InvalidPolicy(
                f"{one!r} in 'namespaces' of {where} is no namespace.",
                hint="Write com.acme, or com.acme.* for all below it.",
            )
    return tuple(dict.fromkeys(value))


def _is_pattern(text: str) -> bool:
    try:
        parse_namespace(text.removesuffix(".*"))
    except InvalidId:
        return False
    return True


def _importable(value: object, where: str) -> Importable:
    if value is None:
        return Importable.IMPLICIT
    try:
        return Importable(str(value))
    except ValueError:
        raise InvalidPolicy(
            f"'importable' of {where} is none of {', '.join(Importable)}."
        ) from None


def _additions(value: object, where: str) -> frozenset[Addition] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(one in _ADDITIONS for one in value):
        raise InvalidPolicy(f"'allowedAdditions' of {where} may list {', '.join(_ADDITIONS)}.")
    return frozenset(Addition(one) for one in value)


def _references(value: object, where: str) -> tuple[Reference, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise InvalidPolicy(f"'references' of {where} is not a list.")
    return tuple(_reference(one, where) for one in value)


def _reference(value: object, where: str) -> Reference:
    document = value if isinstance(value, dict) else {}
    label, policy = document.get("entry"), document.get("import")
    if not isinstance(label, str) or not label or not isinstance(policy, str | None):
        raise InvalidPolicy(
            f"a reference of {where} names no entry.",
            hint='Write {"entry": "label"} or {"import": "org.acme:p", "entry": "label"}.',
        )
    return Reference(label, policy or "")


def _subject(name: str, value: object, where: str, *, strict: bool) -> Subject:
    issuer, colon, rest = name.partition(":")
    if not (issuer and colon and rest) or not name.isprintable():
        raise InvalidSubject(
            f"the subject {name!r} of {where} is not of the form issuer:name.",
            hint="Example: nginx:alice, or device:TENANT:device-1.",
        )
    if "{{" in name:
        raise InvalidSubject(
            f"the subject {name!r} of {where} still has a placeholder in it.",
            hint="Known ones are {{ request:subjectId }} and {{ time:now }}.",
        )
    document = read_object(value, f"subject {name!r} of {where}")
    if not isinstance(document.get("type", ""), str):
        raise InvalidPolicy(f"'type' of subject {name!r} of {where} is not a text.")
    try:
        announcement = announcement_of(document.get("announcement"), f"subject {name!r}")
    except InvalidAnnouncement:
        if strict:
            raise
        announcement = None
    expiry = document.get("expiry")
    return Subject(
        name,
        MappingProxyType(dict(document)),
        None if expiry is None else _instant(expiry, name),
        announcement,
    )


def _instant(expiry: object, name: str) -> int:
    if not isinstance(expiry, str) or expiry.isdigit():
        raise InvalidExpiry(f"the expiry of subject {name!r} is not an RFC 3339 text.")
    try:
        return time.parse(expiry)
    except time.InvalidInstant as e:
        raise InvalidExpiry(f"the expiry of subject {name!r}: {e.message}", hint=e.hint) from e


def announcement_of(value: object, where: str) -> Announcement | None:
    """Read the announcement settings of a subject; raise `InvalidAnnouncement` if they are none."""
    if value is None:
        return None
    if not isinstance(value, dict):
        raise InvalidAnnouncement(f"the announcement of {where} is not a JSON object.")
    when_deleted = value.get("whenDeleted", False)
    if not isinstance(when_deleted, bool):
        raise InvalidAnnouncement(f"'whenDeleted' of {where} is neither true nor false.")
    acks = value.get("requestedAcks") or {}
    labels = acks.get("labels", []) if isinstance(acks, dict) else None
    if not isinstance(labels, list) or not all(
        isinstance(one, str) and _ACK_LABEL.fullmatch(one) for one in labels
    ):
        raise InvalidAnnouncement(
            f"'requestedAcks' of {where} has no list of acknowledgement labels.",
            hint='Write {"labels": ["my-connection:my-label"], "timeout": "10s"}.',
        )
    return Announcement(
        before_expiry_ms=_duration(value, "beforeExpiry", where),
        when_deleted=when_deleted,
        labels=tuple(labels),
        timeout_ms=_duration(acks, "timeout", where) or _TIMEOUT_MS,
        spread_ms=_SPREAD_MS
        if value.get("randomizationInterval") is None
        else _duration(value, "randomizationInterval", where) or 0,
    )


def _duration(document: Mapping[str, object], name: str, where: str) -> int | None:
    value = document.get(name)
    if value is None:
        return None
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    ms = 0 if found is None else int(found[1]) * _UNIT_MS[found[2]]
    if found is None or ms > ANNOUNCEMENT_MS_MAX:
        raise InvalidAnnouncement(
            f"{name!r} of {where} is not a duration.", hint="Write 30s, 5m or 1h."
        )
    return ms


def _resource(key: str, value: object, where: str) -> Resource:
    kind, colon, path = key.partition(":")
    if not colon or kind not in RESOURCE_TYPES:
        raise InvalidPolicy(
            f"the resource {key!r} of {where} is not of the form type:/path.",
            hint=f"The types are {', '.join(RESOURCE_TYPES)}; example: thing:/features/lamp.",
        )
    try:
        keys = pointer.parse(path)
    except InvalidPointer as e:
        raise InvalidPolicy(f"the resource {key!r} of {where}: {e.message}", hint=e.hint) from e
    effects = read_object(value, f"resource {key!r} of {where}")
    unknown = set(effects) - {"grant", "revoke"}
    if unknown:
        raise InvalidPolicy(
            f"resource {key!r} of {where} has an unknown member {min(unknown)!r}.",
            hint="It may have 'grant' and 'revoke'.",
        )
    tokens = (kind + ":", *pointer.render(_one_key(keys)).split("/")[1:]) if keys else (kind + ":",)
    where = f"resource {key!r} of {where}"
    grant = _permissions(effects.get("grant"), "grant", where)
    return Resource(key, tokens, grant, _permissions(effects.get("revoke"), "revoke", where))


def _one_key(keys: tuple[str, ...]) -> tuple[str, ...]:
    """The path of a resource of a policy, whose last key has slashes: ``…/resources/thing:/a/b``."""
    match keys:
        case ("entries", label, "resources", kind, *rest) if kind.endswith(":"):
            return ("entries", label, "resources", "/".join((kind, *rest)) + ("" if rest else "/"))
        case _:
            return keys


def _permissions(value: object, name: str, where: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(p in PERMISSIONS for p in value):
        raise InvalidPolicy(f"{name!r} of {where} is not a list of {', '.join(PERMISSIONS)}.")
    return tuple(dict.fromkeys(value))


def read_object(value: object, what: str) -> dict[str, object]:
    """``value`` if it is a JSON object; raise `InvalidPolicy` if not."""
    if not isinstance(value, dict):
        raise InvalidPolicy(f"{what} is not a JSON object.")
    return value
