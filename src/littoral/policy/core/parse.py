"""From a JSON document to a valid `Policy`, or to Ditto's refusal."""

from collections.abc import Mapping
from types import MappingProxyType

from littoral.kernel import pointer, time
from littoral.kernel.errors import InvalidId, InvalidKey, InvalidPointer
from littoral.kernel.ids import PolicyId, parse_policy_id
from littoral.kernel.json import encode
from littoral.kernel.limits import POLICY_BYTES_MAX
from littoral.kernel.merge import check_depth
from littoral.policy.errors import (
    InvalidExpiry,
    InvalidLabel,
    InvalidPolicy,
    InvalidPolicyId,
    InvalidSubject,
    PolicyFeatureUnsupported,
    PolicyIdFixed,
    PolicyLockedOut,
    PolicyTooLarge,
)
from littoral.policy.model import (
    PERMISSIONS,
    RESOURCE_TYPES,
    WRITE,
    Entry,
    Policy,
    Resource,
    Subject,
)

_RESERVED_LABELS = ("imported", "nsimported-")
_IMPORTABLE = ("implicit", "explicit", "never")
_ADDITIONS = ("subjects", "resources", "namespaces")
# Their meaning changes who may do what; an empty one says nothing and is let through.
_REFUSED_IN_ENTRY = ("references", "namespaces")
_REFUSED_IN_POLICY = ("imports",)


def parse_policy(document: object, *, policy_id: str | None = None) -> Policy:
    """Read Ditto's JSON of a policy.

    Members whose meaning is not enforced here but which cannot widen or narrow what the policy
    itself says (``importable``, ``expiry`` and ``announcement`` of a subject, unknown ones) are
    kept, given back by ``to_json`` and listed in ``Policy.reported``. Members that begin with
    ``_`` are Ditto's read-only ones and are dropped.

    Args:
        document: parsed JSON; not kept.
        policy_id: the id that the address names; the document need not repeat it.

    Raises:
        InvalidPolicy: or one of its subclasses; the sentence names the entry.
        InvalidJson: the document nests too deep.
    """
    check_depth(document)
    root = _object(document, "a policy")
    if len(encode(root)) > POLICY_BYTES_MAX:
        raise PolicyTooLarge(
            f"a policy has at most {POLICY_BYTES_MAX} bytes.",
            hint="Share subjects between entries, or use more than one policy.",
        )
    reported: list[str] = []
    identity = _policy_id(root.get("policyId"), policy_id)
    _refuse(root, _REFUSED_IN_POLICY, "the policy")
    entries = tuple(
        _entry(label, value, reported)
        for label, value in _object(root.get("entries", {}), "'entries'").items()
    )
    _check_modifiable(identity, entries)
    extra = _extra(root, ("policyId", "entries"), "", reported)
    return Policy(identity, entries, extra, tuple(reported))


def own_policy(policy_id: str, subject: str) -> Policy:
    """The policy that Ditto makes for a thing created without one: its creator may do all."""
    everything = {
        f"{kind}:/": {"grant": ["READ", "WRITE"], "revoke": []} for kind in RESOURCE_TYPES
    }
    entry = {"subjects": {subject: {"type": "generated"}}, "resources": everything}
    return parse_policy({"policyId": policy_id, "entries": {"DEFAULT": entry}})


def _policy_id(given: object, addressed: str | None) -> PolicyId:
    text = addressed if given is None else given
    if not isinstance(text, str):
        raise InvalidPolicyId("a policy needs a 'policyId'.", hint="Example: org.acme:default.")
    if addressed is not None and text != addressed:
        raise PolicyIdFixed(
            f"the document is of policy {text!r}, but was sent to {addressed!r}.",
            hint="Leave 'policyId' out, or send it to its own address.",
        )
    try:
        return parse_policy_id(text)
    except InvalidId as e:
        raise InvalidPolicyId(e.message, hint=e.hint) from e


def _entry(label: str, value: object, reported: list[str]) -> Entry:
    _check_label(label)
    where = f"entry {label!r}"
    document = _object(value, where)
    _refuse(document, _REFUSED_IN_ENTRY, where)
    _check_importable(document, where)
    at = "/entries" + pointer.render((label,))
    subjects = _object(document.get("subjects", {}), f"'subjects' of {where}")
    resources = _object(document.get("resources", {}), f"'resources' of {where}")
    return Entry(
        label,
        tuple(_subject(name, value, where, at, reported) for name, value in subjects.items()),
        tuple(_resource(key, value, where) for key, value in resources.items()),
        _extra(document, ("subjects", "resources"), at, reported),
    )


def _check_label(label: str) -> None:
    try:
        pointer.check_key(label)
    except InvalidKey as e:
        raise InvalidLabel(f"the label {label!r} of an entry is invalid: {e.message}") from e
    if label.startswith(_RESERVED_LABELS):
        raise InvalidLabel(
            f"the label {label!r} is reserved for imported entries.",
            hint="Choose one that does not begin with 'imported' or 'nsimported-'.",
        )


def _check_importable(entry: Mapping[str, object], where: str) -> None:
    if entry.get("importable", "implicit") not in _IMPORTABLE:
        raise InvalidPolicy(f"'importable' of {where} is none of {', '.join(_IMPORTABLE)}.")
    additions = entry.get("allowedAdditions", [])
    if not isinstance(additions, list) or not all(a in _ADDITIONS for a in additions):
        raise InvalidPolicy(f"'allowedAdditions' of {where} may list {', '.join(_ADDITIONS)}.")


def _subject(name: str, value: object, where: str, at: str, reported: list[str]) -> Subject:
    issuer, colon, rest = name.partition(":")
    if not (issuer and colon and rest) or not name.isprintable():
        raise InvalidSubject(
            f"the subject {name!r} of {where} is not of the form issuer:name.",
            hint="Example: nginx:alice, or device:TENANT:device-1.",
        )
    if "{{" in name:
        raise InvalidSubject(
            f"the subject {name!r} of {where} still has a placeholder in it.",
            hint="Write the subject itself.",
        )
    document = _object(value, f"subject {name!r} of {where}")
    if not isinstance(document.get("type", ""), str):
        raise InvalidPolicy(f"'type' of subject {name!r} of {where} is not a text.")
    expiry = document.get("expiry")
    if expiry is not None:
        _check_expiry(expiry, name)
    path = at + "/subjects" + pointer.render((name,))
    reported += [f"{path}/{key}" for key in ("expiry", "announcement") if key in document]
    return Subject(name, MappingProxyType(dict(document)), expiry is not None)


def _check_expiry(expiry: object, name: str) -> None:
    if not isinstance(expiry, str) or expiry.isdigit():
        raise InvalidExpiry(f"the expiry of subject {name!r} is not an RFC 3339 text.")
    try:
        time.parse(expiry)
    except time.InvalidInstant as e:
        raise InvalidExpiry(f"the expiry of subject {name!r}: {e.message}", hint=e.hint) from e


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
    effects = _object(value, f"resource {key!r} of {where}")
    unknown = set(effects) - {"grant", "revoke"}
    if unknown:
        raise InvalidPolicy(
            f"resource {key!r} of {where} has an unknown member {min(unknown)!r}.",
            hint="It may have 'grant' and 'revoke'.",
        )
    tokens = (kind + ":", *pointer.render(keys).split("/")[1:]) if keys else (kind + ":",)
    where = f"resource {key!r} of {where}"
    grant = _permissions(effects.get("grant", []), "grant", where)
    return Resource(key, tokens, grant, _permissions(effects.get("revoke", []), "revoke", where))


def _permissions(value: object, name: str, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(p in PERMISSIONS for p in value):
        raise InvalidPolicy(f"{name!r} of {where} is not a list of {', '.join(PERMISSIONS)}.")
    return tuple(dict.fromkeys(value))


def _check_modifiable(policy_id: str, entries: tuple[Entry, ...]) -> None:
    granted: set[str] = set()
    revoked: set[str] = set()
    for entry in entries:
        for resource in entry.resources:
            if resource.tokens != ("policy:",):
                continue
            if WRITE in resource.grant:
                granted.update(s.id for s in entry.subjects if not s.expires)
            if WRITE in resource.revoke:
                revoked.update(s.id for s in entry.subjects)
    if not granted - revoked:
        raise PolicyLockedOut(
            f"no entry of policy {policy_id} gives a lasting subject WRITE on 'policy:/'.",
            hint="Without one nobody could ever change the policy; add such an entry.",
        )


def _refuse(document: Mapping[str, object], names: tuple[str, ...], where: str) -> None:
    for name in names:
        if document.get(name):
            raise PolicyFeatureUnsupported(
                f"{name!r} of {where} is not supported yet.",
                hint="Write the entries out in this policy.",
                member=name,
            )


def _extra(
    document: Mapping[str, object], known: tuple[str, ...], at: str, reported: list[str]
) -> Mapping[str, object]:
    extra = {k: v for k, v in document.items() if k not in known and not k.startswith("_")}
    reported += [at + pointer.render((key,)) for key in extra]
    return MappingProxyType(extra)


def _object(value: object, what: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise InvalidPolicy(f"{what} is not a JSON object.")
    return value
