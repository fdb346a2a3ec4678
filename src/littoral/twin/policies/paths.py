"""Places inside a policy: their nouns in error codes, what stands there, what may be done. Pure."""

from littoral.kernel import pointer
from littoral.kernel.errors import LittoralError
from littoral.twin.core.paths import keys_of
from littoral.twin.errors import NotFound, NotModifiable

Keys = tuple[str, ...]

_LISTS = frozenset(("references", "allowedAdditions"))
_IMPORT_LISTS = frozenset(("entries", "transitiveImports"))
_FIXED = frozenset(("importable", "namespaces", "allowedAdditions"))


def noun_of(keys: Keys) -> str:
    """Ditto's name of the part at ``keys``, as it stands in error codes."""
    match keys:
        case ("entries", _, "subjects" | "resources" as part):
            return part
        case ("entries", _, "subjects" | "resources" as part, *_):
            return part.removesuffix("s")
        case ("entries", _, *_):
            return "entry"
        case ("imports",):
            return "imports"
        case ("imports", *_):
            return "import"
        case _:
            return "policy"


def policy_methods(path: str) -> tuple[str, ...]:
    """What HTTP can do at a path that `protocol.check_path` gave; empty if there is no such place."""
    return methods_of(keys_of(path))


def methods_of(keys: Keys) -> tuple[str, ...]:
    """What HTTP can do at ``keys``; empty if policies have no such place."""
    match keys:
        case () | ("entries", _) | ("imports",) | ("imports", _):
            return ("GET", "PUT", "DELETE")
        case ("entries", _, "subjects" | "resources", _) | ("entries", _, "references"):
            return ("GET", "PUT", "DELETE")
        case ("entries",) | ("entries", _, "subjects" | "resources"):
            return ("GET", "PUT")
        case ("entries", _, part) if part in _FIXED:
            return ("GET", "PUT")
        case ("imports", _, part) if part in _IMPORT_LISTS:
            return ("GET", "PUT")
        case _:
            return ()


def value_at(document: object, keys: Keys) -> object:
    """What stands at ``keys``, or what holds if nothing does; raise `KeyError` if neither."""
    try:
        return pointer.get(document, keys)
    except KeyError:
        match keys:
            case ("imports",) if isinstance(document, dict):
                return {}
            case ("imports", _, part) if part in _IMPORT_LISTS and _there(document, keys[:2]):
                return []
            case ("entries", _, "importable") if _there(document, keys[:2]):
                return "implicit"
            case ("entries", _, part) if part in _LISTS and _there(document, keys[:2]):
                return []
            case ("entries", _, "subjects" | "resources") if _there(document, keys[:2]):
                return {}
        raise


def is_made(document: object, keys: Keys, value: object) -> bool:
    """Whether writing ``value`` at ``keys`` makes something that was not there. Source: Ditto."""
    match keys:
        case ("entries", _, "references"):
            return bool(value) and not value_at(document, keys)
        case () | ("entries", _) | ("imports", _):
            return not _there(document, keys)
        case ("entries", _, "subjects" | "resources", _):
            return not _there(document, keys)
        case _:
            return False


def check_parent(document: object, keys: Keys, policy_id: str) -> None:
    """Raise if what would hold ``keys`` is missing: an entry is not made by the way."""
    if len(keys) >= 3 and not _there(document, keys[:2]):
        raise missing(policy_id, keys[:2])


def missing(policy_id: str, keys: Keys) -> LittoralError:
    """The refusal for what is not there or may not be read."""
    return NotFound(
        f"policy {policy_id} has nothing at {pointer.render(keys)}, or you may not read it.",
        code=f"policies:{noun_of(keys)}.notfound",
        hint="Check the id and your READ permission on policy:/.",
    )


def denied(policy_id: str, keys: Keys) -> LittoralError:
    """The refusal for what may not be written."""
    return NotModifiable(
        f"you may not write {pointer.render(keys)} of policy {policy_id}.",
        code=f"policies:{noun_of(keys)}.notmodifiable",
        hint="Ask for WRITE on policy:/ in it.",
    )


def resource_of(keys: Keys) -> str:
    """The resource that stands for ``keys`` in decisions."""
    return "policy:" + (pointer.render(keys) if keys else "/")


def _there(document: object, keys: Keys) -> bool:
    try:
        pointer.get(document, keys)
    except KeyError:
        return False
    return True
