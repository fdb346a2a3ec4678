"""Which paths things and policies have in the Ditto Protocol and in HTTP. Pure."""

from functools import lru_cache
from typing import NamedTuple

from littoral.kernel import pointer
from littoral.twin.core.paths import keys_of
from littoral.twin.protocol.errors import UnknownPath

_POLICY_PARTS = frozenset(
    ("subjects", "resources", "importable", "namespaces", "allowedAdditions", "references")
)

_ACTIONS = frozenset(("activateTokenIntegration", "deactivateTokenIntegration"))


@lru_cache(maxsize=4096)
def check_path(group: str, path: str) -> str:
    """Return ``path``, tidied, if things (or policies) have such a place.

    A policy's resource is one key although it has slashes: ``/entries/a/resources/thing:/features``
    comes back as ``/entries/a/resources/thing:~1features``.

    Raises:
        UnknownPath: no such place; InvalidPointer: not a pointer at all.
    """
    if group == "policies":
        head, word, resource = path.partition("/resources/")
        if word and ":/" in resource:
            path = f"{head}{word}{resource.replace('/', '~1')}"
    keys = keys_of(path)
    known = _is_thing_path(keys) if group == "things" else _is_policy_path(keys)
    if not known:
        raise UnknownPath(
            f"{group} have no path {path[:200]!r}.",
            hint="Things have /policyId, /definition, /attributes and /features/<id>."
            if group == "things"
            else "Policies have /entries/<label> and /imports/<policyId>.",
        )
    return pointer.render(keys)


class PolicyAction(NamedTuple):
    """An action of a policy as a whole, or of one entry of it."""

    name: str
    label: str | None


def policy_action(path: str) -> PolicyAction | None:
    """Read ``[/entries/<label>]/actions/<name>``; None if the path is none of an action."""
    match path.removeprefix("/").split("/"):
        case ["actions", name] if name in _ACTIONS:
            return PolicyAction(name, None)
        case ["entries", label, "actions", name] if name in _ACTIONS and label:
            return PolicyAction(name, label)
        case _:
            return None


def _is_thing_path(keys: tuple[str, ...]) -> bool:
    match keys:
        case () | ("policyId",) | ("definition",) | ("attributes", *_):
            return True
        case ("features",) | ("features", _) | ("features", _, "definition"):
            return True
        case ("features", _, "properties" | "desiredProperties", *_):
            return True
        case _:
            return False


def _is_policy_path(keys: tuple[str, ...]) -> bool:
    match keys:
        case () | ("entries",) | ("entries", _) | ("imports", *_):
            return True
        case ("entries", _, "actions", name) | ("actions", name):
            return name in _ACTIONS
        case ("entries", _, part, *_):
            return part in _POLICY_PARTS
        case _:
            return False
