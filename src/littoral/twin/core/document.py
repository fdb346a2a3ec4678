"""What a thing's document may look like, and what one command makes of it."""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from littoral.kernel import merge, pointer
from littoral.kernel.errors import InvalidId, InvalidKey, LittoralError
from littoral.kernel.ids import parse_policy_id
from littoral.policy import InvalidPolicyId
from littoral.twin.core.paths import noun_of
from littoral.twin.errors import (
    FeatureDefinitionEmpty,
    InvalidDefinition,
    InvalidThing,
    NotFound,
    PolicyIdNotDeletable,
)
from littoral.twin.model import KEYS_KNOWN_MAX

Keys = tuple[str, ...]
Document = dict[str, object]

_KNOWN_CHARS = 64
_known: set[str] = set()
"""Keys that were allowed: the same few come again and again, and one look asks for all of them."""

_PLAIN = frozenset((str, int, float, bool, type(None)))

MEMBERS = frozenset({"thingId", "policyId", "definition", "attributes", "features"})
_FEATURE_MEMBERS = frozenset({"definition", "properties", "desiredProperties"})
_DEFINITION = re.compile(r"[_a-zA-Z0-9\-.]+:[_a-zA-Z0-9\-.]+:[_a-zA-Z0-9\-.]+|https?://\S+")


def check_value(keys: Keys, value: object, *, patch: bool) -> None:
    """Raise if ``value`` may not stand at ``keys`` of a thing.

    Args:
        keys: where; ``()`` is the whole thing.
        value: parsed JSON.
        patch: True for a merge patch, where null deletes.

    Raises:
        InvalidThing, InvalidDefinition, InvalidKey, InvalidId, PolicyIdNotDeletable, InvalidJson.
    """
    plain = value.__class__ in _PLAIN
    if not plain:
        merge.check_depth(value)
    if not (_check_place(keys) and plain):
        _check_at(keys, value, patch=patch)


def _check_at(keys: Keys, value: object, *, patch: bool) -> None:
    match keys:
        case ():
            _check_thing(value, patch=patch)
        case ("policyId",):
            _check_policy_id(value)
        case ("definition",):
            _check_definition(value)
        case ("attributes",):
            _check_object("attributes", value)
        case ("features",):
            _check_features(value, patch=patch)
        case ("features", feature):
            _check_feature(feature, value, patch=patch)
        case ("features", _, "definition"):
            _check_feature_definition(value)
        case ("features", _, ("properties" | "desiredProperties") as part):
            _check_object(part, value)
        case ("attributes", *_) | ("features", _, "properties" | "desiredProperties", *_):
            check_keys(value)
        case _:
            raise InvalidThing(
                f"a thing has nothing at {pointer.render(keys)}.",
                hint="It has policyId, definition, attributes and features; a feature has "
                "definition, properties and desiredProperties.",
            )


@lru_cache(maxsize=4096)
def _check_place(keys: Keys) -> bool:
    """Raise `InvalidKey` if no such place can be; True if any plain value may stand there."""
    for key in keys:
        pointer.check_key(key)
    if keys[:1] == ("features",) and len(keys) > 1:
        check_feature_id(keys[1])
    match keys:
        case ("attributes", _, *_) | ("features", _, "properties" | "desiredProperties", _, *_):
            return True
        case _:
            return False


def check_keys(value: object) -> None:
    """Raise `InvalidKey` if an object anywhere in ``value`` has a key that Ditto forbids."""
    level: list[Any] = [value] if isinstance(value, dict | list) else []
    while level:
        node = level.pop()
        children: Iterable[object]
        if isinstance(node, dict):
            if not _known.issuperset(node):
                for key in node:
                    pointer.check_key(key)
                if len(_known) > KEYS_KNOWN_MAX:
                    _known.clear()
                _known.update(key for key in node if len(key) <= _KNOWN_CHARS)
            children = node.values()
        else:
            children = node
        level += [child for child in children if isinstance(child, dict | list)]


def _check_object(name: str, value: object) -> None:
    if value is None:
        return
    if not isinstance(value, dict):
        raise InvalidThing(f"{name} is a JSON object, not {type(value).__name__}.")
    check_keys(value)


def _check_thing(value: object, *, patch: bool) -> None:
    if not isinstance(value, dict):
        raise InvalidThing("a thing is a JSON object.")
    for key, child in value.items():
        if key == "thingId":
            continue
        if key.startswith("_"):
            continue
        if key not in MEMBERS:
            raise InvalidThing(
                f"a thing has no member {key!r}.",
                hint="Put your own data under attributes or features.",
            )
        if child is None and key != "policyId" and not patch:
            continue
        _check_at((key,), child, patch=patch)


def _check_policy_id(value: object) -> None:
    if value is None:
        raise PolicyIdNotDeletable(
            "a thing always has a policyId.", hint="Set another one instead."
        )
    if not isinstance(value, str):
        raise InvalidPolicyId("a policyId is a string namespace:name.")
    parse_policy(value)


def parse_policy(text: str) -> str:
    """Return ``text`` if a policy can be called so; raise `InvalidPolicyId` if not."""
    try:
        return parse_policy_id(text)
    except InvalidId as e:
        raise InvalidPolicyId(e.message, hint=e.hint) from e


def _check_definition(value: object) -> None:
    if value is None:
        return
    if not isinstance(value, str) or _DEFINITION.fullmatch(value) is None:
        raise InvalidDefinition(
            f"{str(value)[:80]!r} is not a definition.",
            hint="Write namespace:name:version or an http(s) address.",
        )


def _check_feature_definition(value: object) -> None:
    if value is None:
        return
    if not isinstance(value, list):
        raise InvalidDefinition("a feature's definition is an array of identifiers.")
    if not value:
        raise FeatureDefinitionEmpty("a feature's definition names at least one identifier.")
    for item in value:
        _check_definition(item)


def _check_features(value: object, *, patch: bool) -> None:
    if value is None:
        return
    if not isinstance(value, dict):
        raise InvalidThing("features is a JSON object of features by id.")
    for feature, content in value.items():
        _check_feature(feature, content, patch=patch)


def check_feature_id(feature: str) -> None:
    """Raise `InvalidKey` if no feature can be called so."""
    pointer.check_key(feature)
    if feature == "*":
        raise InvalidKey("a feature may not be called '*': it stands for all features in queries.")


def _check_feature(feature: str, value: object, *, patch: bool) -> None:
    check_feature_id(feature)
    if value is None:
        return
    if not isinstance(value, dict):
        raise InvalidThing(f"feature {feature!r} is a JSON object.")
    for key, child in value.items():
        if key not in _FEATURE_MEMBERS:
            raise InvalidThing(
                f"feature {feature!r} has no member {key!r}.",
                hint="A feature has definition, properties and desiredProperties.",
            )
        _check_at(("features", feature, key), child, patch=patch)


def check_parent(document: Mapping[str, object], keys: Keys, thing_id: str) -> None:
    """Raise `NotFound` if what would hold ``keys`` is missing: a feature is not made by the way."""
    if len(keys) >= 3 and keys[0] == "features":
        features = document.get("features")
        if not isinstance(features, dict) or keys[1] not in features:
            raise missing(thing_id, keys[:2])


def exists(document: object, keys: Keys) -> bool:
    """Whether there is a value at ``keys``."""
    try:
        pointer.get(document, keys)
    except KeyError:
        return False
    return True


def gap(document: object, keys: Keys) -> Keys:
    """What is missing where there is nothing at ``keys``: the feature as a whole, or that part."""
    return keys[:2] if keys[:1] == ("features",) and not exists(document, keys[:2]) else keys


def missing(entity_id: str, keys: Keys) -> LittoralError:
    """The error for a thing, or part of it, that is not there or not visible."""
    noun = noun_of(keys)
    return NotFound(
        f"thing {entity_id} has nothing at {pointer.render(keys)}, or you may not read it."
        if keys
        else f"thing {entity_id} does not exist, or you may not read it.",
        code=f"things:{noun}.notfound",
        hint="Check the id and the policy's READ permissions.",
        noun=noun,
    )


def initial(thing_id: str, document: Mapping[str, object], policy_id: str) -> Document:
    """The stored form of a whole thing: known members only, none of them null, policyId set."""
    kept = {
        k: tidied((k,), v)
        for k, v in document.items()
        if k in MEMBERS and k not in ("thingId", "policyId") and v is not None
    }
    return {"thingId": thing_id, "policyId": policy_id, **kept}


def is_member(keys: Keys) -> bool:
    """Whether ``keys`` is a part of a thing that Ditto has a name for; null there is nothing."""
    match keys:
        case ("definition" | "attributes" | "features",) | ("features", _):
            return True
        case ("features", _, part):
            return part in _FEATURE_MEMBERS
        case _:
            return False


def tidied(keys: Keys, value: object) -> object:
    """``value`` for ``keys`` without the members that are null; data of the user's stay as they are."""
    if not isinstance(value, dict) or not (keys == ("features",) or len(keys) == 2):
        return value
    if keys[0] != "features":
        return value
    return {
        key: tidied((*keys, key), child)
        for key, child in value.items()
        if child is not None or not is_member((*keys, key))
    }
