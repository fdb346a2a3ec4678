"""From a JSON document to a valid `Policy`, or to Ditto's refusal."""

from collections.abc import Mapping
from types import MappingProxyType

from littoral.kernel import pointer
from littoral.kernel.errors import InvalidId, InvalidKey
from littoral.kernel.ids import PolicyId, parse_policy_id
from littoral.kernel.json import encode
from littoral.kernel.limits import POLICY_BYTES_MAX
from littoral.kernel.merge import check_depth
from littoral.policy.core.effective import own_entries
from littoral.policy.core.parse_entry import entry_of, read_object
from littoral.policy.errors import (
    InvalidImport,
    InvalidLabel,
    InvalidPolicy,
    InvalidPolicyId,
    PolicyIdFixed,
    PolicyLockedOut,
    PolicyTooLarge,
    TooManyImports,
)
from littoral.policy.model import (
    IMPORTS_MAX,
    RESOURCE_TYPES,
    WRITE,
    Entry,
    Import,
    Importable,
    Policy,
    Reference,
)

_RESERVED_LABELS = ("imported", "nsimported-")


def parse_policy(document: object, *, policy_id: str | None = None) -> Policy:
    """Read Ditto's JSON of a policy, and refuse what may not be written.

    Unknown members are kept, given back by ``to_json`` and listed in ``Policy.reported``. Members
    that begin with ``_`` are Ditto's read-only ones and are dropped. Whether an expiry has passed
    is not asked here: that needs a clock.

    Args:
        document: parsed JSON; not kept.
        policy_id: the id that the address names; the document need not repeat it.

    Raises:
        InvalidPolicy: or one of its subclasses; the sentence names the entry.
        InvalidJson: the document nests too deep.
    """
    check_depth(document)
    root = read_object(document, "a policy")
    if len(encode(root)) > POLICY_BYTES_MAX:
        raise PolicyTooLarge(
            f"a policy has at most {POLICY_BYTES_MAX} bytes.",
            hint="Share subjects between entries, or use more than one policy.",
        )
    policy = _policy(root, policy_id, strict=True)
    _check_references(policy)
    check_lasting(policy)
    return policy


def load_policy(document: Mapping[str, object], *, policy_id: str) -> Policy:
    """Read a stored policy, which was checked when it was written, maybe by an older release.

    Raises:
        InvalidPolicy: it cannot be understood at all.
    """
    return _policy(document, policy_id, strict=False)


def own_policy(policy_id: str, subject: str) -> Policy:
    """The policy that Ditto makes for a thing created without one: its creator may do all."""
    everything = {
        f"{kind}:/": {"grant": ["READ", "WRITE"], "revoke": []} for kind in RESOURCE_TYPES
    }
    entry = {"subjects": {subject: {"type": "generated"}}, "resources": everything}
    return parse_policy({"policyId": policy_id, "entries": {"DEFAULT": entry}})


def check_lasting(policy: Policy) -> None:
    """Raise `PolicyLockedOut` if no subject that stays may change ``policy``.

    Imports lift the rule: the subject may come from another policy. Source: Ditto.
    """
    if policy.imports:
        return
    granted: set[str] = set()
    revoked: set[str] = set()
    for entry in own_entries(policy):
        for resource in entry.resources:
            if resource.tokens != ("policy:",):
                continue
            if WRITE in resource.grant:
                granted.update(s.id for s in entry.subjects if not s.expires)
            if WRITE in resource.revoke:
                revoked.update(s.id for s in entry.subjects)
    if not granted - revoked:
        raise PolicyLockedOut(
            f"no entry of policy {policy.id} gives a lasting subject WRITE on 'policy:/'.",
            hint="Without one nobody could ever change the policy; add such an entry.",
        )


def _policy(root: Mapping[str, object], policy_id: str | None, *, strict: bool) -> Policy:
    identity = _policy_id(root.get("policyId"), policy_id)
    reported: list[str] = []
    entries: list[Entry] = []
    for label, value in read_object(root.get("entries", {}), "'entries'").items():
        if strict:
            check_label(label)
        entries.append(entry_of(label, value, reported, strict=strict))
    imports = _imports(root.get("imports"), identity, strict=strict)
    extra = {
        k: v
        for k, v in root.items()
        if k not in {"policyId", "entries", "imports"} and not k.startswith("_")
    }
    reported += [pointer.render((key,)) for key in extra]
    return Policy(identity, tuple(entries), imports, MappingProxyType(extra), tuple(reported))


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


def check_label(label: str) -> None:
    """Raise `InvalidLabel` unless an entry may be called so."""
    try:
        pointer.check_key(label)
    except InvalidKey as e:
        raise InvalidLabel(f"the label {label!r} of an entry is invalid: {e.message}") from e
    if label.startswith(_RESERVED_LABELS):
        raise InvalidLabel(
            f"the label {label!r} is reserved for imported entries.",
            hint="Choose one that does not begin with 'imported' or 'nsimported-'.",
        )


def _imports(value: object, identity: PolicyId, *, strict: bool) -> tuple[Import, ...]:
    if value is None:
        return ()
    if not isinstance(value, dict):
        raise InvalidImport("'imports' is not a JSON object.", hint='Example: {"org.acme:p": {}}.')
    if strict and len(value) > IMPORTS_MAX:
        raise TooManyImports(
            f"a policy imports at most {IMPORTS_MAX} policies, not {len(value)}.",
            hint="Let one of them import others, and name those in 'transitiveImports'.",
        )
    return tuple(_import(name, one, identity) for name, one in value.items())


def _import(name: str, value: object, identity: PolicyId) -> Import:
    imported = _imported_id(name)
    if imported == identity:
        raise InvalidImport(f"policy {identity} cannot import itself.")
    document = {} if value is None else value
    if not isinstance(document, dict):
        raise InvalidImport(f"the import of {name} is not a JSON object.", hint="It may be {}.")
    labels = _texts(document, "entries", name)
    transitive = _texts(document, "transitiveImports", name)
    for one in transitive:
        _imported_id(one)
    return Import(imported, frozenset(labels), transitive, MappingProxyType(dict(document)))


def _imported_id(name: str) -> PolicyId:
    try:
        return parse_policy_id(name)
    except InvalidId as e:
        raise InvalidImport(f"{name!r} cannot be imported: {e.message}", hint=e.hint) from e


def _texts(document: Mapping[str, object], name: str, imported: str) -> tuple[str, ...]:
    value = document.get(name)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise InvalidImport(f"{name!r} of the import of {imported} is not a list of texts.")
    return tuple(dict.fromkeys(value))


def _check_references(policy: Policy) -> None:
    """Raise if a reference points at nothing, at its own entry, twice, or at what is not to be used."""
    imported = {one.policy for one in policy.imports}
    for entry in policy.entries:
        seen: set[Reference] = set()
        for reference in entry.references:
            problem = _problem(policy, entry, reference, imported)
            if reference in seen:
                problem = "is there twice"
            seen.add(reference)
            if problem:
                raise InvalidPolicy(
                    f"the reference of entry {entry.label!r} to {reference.label!r} {problem}.",
                    hint="A reference names an entry of this policy, or one of a policy that it imports.",
                )


def _problem(policy: Policy, entry: Entry, reference: Reference, imported: set[PolicyId]) -> str:
    if reference.policy:
        return "" if reference.policy in imported else f"needs an import of {reference.policy}"
    if reference.label == entry.label:
        return "points at itself"
    target = policy.entry(reference.label)
    if target is None:
        return "points at nothing"
    if target.importable is Importable.NEVER:
        return "points at an entry whose 'importable' is 'never'"
    return ""
