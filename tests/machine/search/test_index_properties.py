"""Every operator, order, page and change of the index against a reading of all documents."""

import orjson
import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from littoral.log import Record
from littoral.policy import READ, Enforcer, parse_policy
from littoral.rql import (
    And,
    Compare,
    Empty,
    Exists,
    In,
    Not,
    Operator,
    Or,
    SortBy,
    WithinBox,
    WithinDistance,
    fold,
    in_box,
    in_distance,
    like,
    render,
    split,
)
from littoral.search.adapters.sqlite import SqliteIndex
from littoral.search.core.access import shapes_of
from littoral.search.core.leaves import escaped
from littoral.search.model import Access, Audience
from littoral.twin import Standing
from littoral.twin.core import state

# -- the oracle: documents as a caller sees them, read property by property -----------------------


def values(document, keys):
    """All values at ``keys``; ``*`` as the second key of features is each feature; arrays are walked."""
    found = [document]
    for depth, key in enumerate(keys):
        following = []
        for value in found:
            for one in flat(value):
                if not isinstance(one, dict):
                    continue
                if depth == 1 and keys[0] == "features" and key == "*":
                    following += one.values()
                elif key in one:
                    following.append(one[key])
        found = following
    return found


def flat(value):
    if not isinstance(value, list):
        return [value]
    return [inner for one in value for inner in flat(one)]


def kind(value):
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    return {str: "text", int: "number", float: "number"}.get(type(value), "other")


def holds(operator, value, literal):
    if operator in (Operator.LIKE, Operator.ILIKE):
        if not isinstance(value, str):
            return False
        return (
            like(literal, value) if operator is Operator.LIKE else like(fold(literal), fold(value))
        )
    if kind(value) == "other":
        return False
    same = kind(value) == kind(literal)
    if operator is Operator.EQ:
        return same and value == literal
    if operator is Operator.NE:
        return not (same and value == literal)
    if not same:
        return False
    if value is None:
        return operator in (Operator.GE, Operator.LE)
    a, b = (value.encode(), literal.encode()) if isinstance(value, str) else (value, literal)
    return {
        Operator.GT: a > b, Operator.GE: a >= b, Operator.LT: a < b, Operator.LE: a <= b,
    }[operator]  # fmt: skip


def place(value):
    if not isinstance(value, dict):
        return None
    lat, lon = value.get("lat"), value.get("lon")
    if kind(lat) != "number" or kind(lon) != "number" or abs(lat) > 90 or abs(lon) > 180:
        return None
    return lat, lon


def says(query, document):
    match query:
        case And(parts):
            return all(says(part, document) for part in parts)
        case Or(parts):
            return any(says(part, document) for part in parts)
        case Not(part):
            return not says(part, document)
        case Compare(operator, name, literal):
            found = values(document, split(name))
            return any(holds(operator, one, literal) for v in found for one in flat(v))
        case In(name, literals):
            found = values(document, split(name))
            return any(
                holds(Operator.EQ, one, x) for v in found for one in flat(v) for x in literals
            )
        case Exists(name):
            return bool(values(document, split(name)))
        case Empty(name):
            found = values(document, split(name))
            return not found or any(v is None or v in ("", [], {}) for v in found)
        case WithinBox(name) | WithinDistance(name):
            places = [place(one) for v in values(document, split(name)) for one in flat(v)]
            ask = in_box if isinstance(query, WithinBox) else in_distance
            return any(ask(query, *one) for one in places if one is not None)
        case _:
            raise AssertionError(query)


RANK = {"null": 0, "number": 1, "text": 2, "object": 3, "array": 4, "boolean": 5}


def flat_but_empty(value):
    if not isinstance(value, list) or not value:
        return [value]
    return [inner for one in value for inner in flat_but_empty(one)]


def sort_value(document, name, *, descending):
    """As the index has it: the least or greatest of the leaves; objects with members have none."""
    found = []
    for value in values(document, split(name)):
        for one in flat_but_empty(value):
            if isinstance(one, dict) and one:
                continue
            rank = "object" if one == {} else "array" if one == [] else kind(one)
            low = one.encode() if isinstance(one, str) else 0 if one in ({}, [], None) else one
            found.append((RANK[rank], low))
    if not found:
        return (0, 0)
    return max(found) if descending else min(found)


# -- strategies ----------------------------------------------------------------------------------

texts = st.text(st.sampled_from("abAÄäß[*?]^-é😀"), max_size=4)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([0.5, -1.5, 2.0, 2**62, 1e300])
    | texts
)
places = st.fixed_dictionaries(
    {"lat": st.integers(-90, 90) | st.floats(-91, 91), "lon": st.integers(-180, 180) | scalars}
)
json_values = st.recursive(
    scalars | places,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc~/"), inner, max_size=3)
    ),
    max_leaves=6,
)
objects = st.dictionaries(st.sampled_from(["a", "b", "c", "lat"]), json_values, max_size=3)
features = st.fixed_dictionaries(
    {},
    optional={
        "properties": objects,
        "desiredProperties": objects,
        "definition": st.lists(texts, min_size=1, max_size=2),
    },
)
documents = st.fixed_dictionaries(
    {"policyId": st.sampled_from(["p:one", "p:two", "p:three"])},
    optional={
        "definition": st.sampled_from(["a:b:1", "a:c:2"]),
        "attributes": objects,
        "features": st.dictionaries(st.sampled_from(["f", "g", "f/h"]), features, max_size=2),
        "_metadata": st.fixed_dictionaries({"attributes": objects}),
    },
)
ids = st.lists(
    st.tuples(st.sampled_from(["n", "n.m", "n-m"]), st.sampled_from("abcdefÄ")).map(":".join),
    min_size=1,
    max_size=8,
    unique=True,
)
keys = st.sampled_from(["a", "b", "c", "lat", "a/b", "b/a", "a/lat", "a/b/c", "~0", "~1"])
properties = (
    st.sampled_from(
        [
            "attributes",
            "features",
            "features/f",
            "features/*",
            "features/*/definition",
            "policyId",
            "definition",
            "attributes/a",
            "features/f/properties",
            "features/*/properties",
            "_metadata/attributes/a",
            "features/f~1h",
        ]
    )
    | keys.map("attributes/{}".format)
    | keys.map("features/*/properties/{}".format)
    | keys.map("features/f/properties/{}".format)
    | keys.map("features/f~1h/properties/{}".format)
)
patterns = st.text(st.sampled_from("abAÄä*?[]ß"), max_size=4)
plain = [o for o in Operator if o not in (Operator.LIKE, Operator.ILIKE)]
boxes = st.builds(
    lambda name, lats, west, east: WithinBox(name, min(lats), west, max(lats), east),
    properties,
    st.tuples(st.floats(-90, 90), st.floats(-90, 90)),
    st.floats(-180, 180),
    st.floats(-180, 180),
)
circles = st.builds(
    WithinDistance,
    properties,
    st.floats(-90, 90),
    st.floats(-180, 180),
    st.sampled_from([1e3, 1e6, 5e6, 2e7]),
)
leaves = (
    st.builds(Compare, st.sampled_from(plain), properties, scalars)
    | st.builds(Compare, st.sampled_from([Operator.LIKE, Operator.ILIKE]), properties, patterns)
    | st.builds(In, properties, st.lists(scalars, min_size=1, max_size=3).map(tuple))
    | st.builds(Exists, properties)
    | st.builds(Empty, properties)
    | boxes
    | circles
)
queries = st.recursive(
    leaves,
    lambda inner: (
        st.builds(Not, inner)
        | st.builds(And, st.lists(inner, min_size=1, max_size=3).map(tuple))
        | st.builds(Or, st.lists(inner, min_size=1, max_size=3).map(tuple))
    ),
    max_leaves=5,
)
resources = st.sampled_from(
    ["/", "/attributes", "/attributes/a", "/attributes/a/b", "/features", "/features/f",
     "/features/f/properties/a", "/policyId", "/features/f~1h"]
)  # fmt: skip
rules = st.sampled_from([(["READ"], []), ([], ["READ"]), (["READ"], []), ([], []), (["WRITE"], [])])
entries = st.dictionaries(resources, rules, min_size=1, max_size=3)
policies = st.dictionaries(
    st.sampled_from(["p:one", "p:two", "p:three"]),
    st.dictionaries(st.sampled_from(["x:1", "x:2", "x:3"]), entries, max_size=3),
    min_size=1,
)
callers = st.sets(st.sampled_from(["x:1", "x:2", "x:4"]), max_size=2).map(frozenset) | st.none()


def enforcer_of(policy_id, subjects):
    document = {
        "policyId": policy_id,
        "entries": {
            f"e{index}": {
                "subjects": {subject: {"type": "t"}},
                "resources": {
                    f"thing:{path}": {"grant": grant, "revoke": revoke}
                    for path, (grant, revoke) in rules.items()
                },
            }
            for index, (subject, rules) in enumerate(subjects.items())
        },
    }
    document["entries"]["admin"] = {
        "subjects": {"x:admin": {"type": "t"}},
        "resources": {"policy:/": {"grant": ["READ", "WRITE"], "revoke": []}},
    }
    return Enforcer(parse_policy(document, policy_id=policy_id).entries)


class World:
    """Things, policies, and the index that knows them."""

    def __init__(self, things, policies, drive_max):
        self.index = SqliteIndex(
            ":memory:", remove=lambda name: None, monotonic_s=lambda: 0.0, drive_max=drive_max
        )
        self.index.open("log")
        self.enforcers = {name: enforcer_of(name, rules) for name, rules in policies.items()}
        self.things = {}
        self.index.reached(0)
        self.put(things)

    def put(self, things):
        standings = []
        for seq, (thing_id, document) in enumerate(things.items(), 1):
            if document is None:
                self.things.pop(thing_id, None)
                standings.append(Standing(thing_id, None, "", 2, 0, 0, seq))
                continue
            self.things[thing_id] = document
            data = orjson.dumps({"thingId": thing_id, **document})
            standings.append(Standing(thing_id, data, document["policyId"], 1, 0, 0, seq))
        wants = self.index.put(standings)
        self.know(wants.policies)

    def know(self, pairs):
        access = []
        for policy_id, namespace in pairs:
            enforcer = self.enforcers.get(policy_id)
            shapes = {} if enforcer is None else shapes_of(enforcer.reading())
            access.append(Access(policy_id, namespace, shapes))
        self.index.know(access)

    def seen(self, subjects):
        """Each thing as the caller sees it."""
        for thing_id in sorted(self.things, key=str.encode):
            document = self.things[thing_id]
            if subjects is None:
                yield thing_id, document
                continue
            enforcer = self.enforcers.get(document["policyId"])
            if enforcer is None or not enforcer.may_partly(subjects, READ, "thing:/"):
                continue
            data = {key: value for key, value in document.items() if key != "_metadata"}
            left = enforcer.trim(subjects, READ, data) or {}
            about = enforcer.trim(subjects, READ, document.get("_metadata", {})) or {}
            yield thing_id, {**left, "_metadata": about}

    def found(self, query, subjects, sort=()):
        hits = [(i, d) for i, d in self.seen(subjects) if query is None or says(query, d)]
        for key in reversed(sort):
            hits.sort(
                key=lambda hit: sort_value(hit[1], key.property, descending=key.descending),
                reverse=key.descending,
            )
        return [thing_id for thing_id, _ in hits]

    def pages(self, query, subjects, sort=(), *, size):
        audience = Audience(subjects or frozenset(), subjects is None)
        found, after = [], None
        while True:
            hits = self.index.page(audience, query, None, sort, size=size, after=after, time_s=10)
            found += hits.ids
            after = hits.after
            if after is None:
                return found


worlds = st.builds(
    lambda ids, several, rules, most: World(dict(zip(ids, several, strict=False)), rules, most),
    ids, st.lists(documents, min_size=8, max_size=8), policies, st.sampled_from([-1, 1, 1000]),
)  # fmt: skip


@pytest.mark.slow
@given(worlds, st.lists(queries, min_size=1, max_size=6), callers)
@settings(max_examples=300, deadline=None)
def test_every_query_finds_what_reading_all_documents_finds(world, several, subjects):
    for query in several:
        note(render(query))
        expected = world.found(query, subjects)
        assert world.pages(query, subjects, size=3) == expected
        audience = Audience(subjects or frozenset(), subjects is None)
        assert world.index.count(audience, query, None, time_s=10) == len(expected)


sorts = st.lists(
    st.builds(SortBy, st.sampled_from(["attributes/a", "attributes/b", "policyId",
                                       "features/*/properties/a", "features/f/properties/a"]),
              st.booleans()),
    min_size=1, max_size=2, unique_by=lambda key: key.property,
).map(tuple)  # fmt: skip


@pytest.mark.slow
@given(worlds, st.none() | queries, callers, sorts, st.integers(1, 4))
@settings(max_examples=300, deadline=None)
def test_pages_come_in_order_and_give_each_hit_once(world, query, subjects, sort, size):
    assert world.pages(query, subjects, sort, size=size) == world.found(query, subjects, sort)


@pytest.mark.slow
@given(
    worlds,
    st.dictionaries(ids.map(lambda several: several[0]), st.none() | documents, max_size=6),
    policies,
    st.lists(queries, min_size=1, max_size=4),
    callers,
)
@settings(max_examples=200, deadline=None)
def test_changes_of_things_and_policies_are_found_at_once(world, changes, rules, several, subjects):
    for query in several:
        world.pages(query, subjects, (SortBy("attributes/a"),), size=2)
    world.put(changes)
    world.enforcers = {name: enforcer_of(name, rules) for name, rules in rules.items()}
    world.know(world.index.using(("p:one", "p:two", "p:three")))
    for query in several:
        for sort in ((), (SortBy("attributes/a"),), (SortBy("attributes/a", descending=True),)):
            note(f"{render(query)} {sort}")
            assert world.pages(query, subjects, sort, size=3) == world.found(query, subjects, sort)


OWN = "me/1"
paths = st.lists(st.sampled_from(["a", "b", "c", "a/b", "b/a"]), min_size=1, max_size=2).map(tuple)
changes = st.tuples(
    st.integers(0, 7),
    st.sampled_from(["thing.modified", "thing.merged", "thing.deleted"]),
    st.sampled_from([("attributes",), ("features", "f", "properties")]),
    paths,
    st.one_of(scalars, scalars, json_values),
)


def change_of(world, seq, number, kind, root, path, value):
    """Let a change happen to one of the things; return its record, None if nothing comes of it."""
    things = sorted(world.things)
    thing_id = things[number % len(things)]
    document = world.things[thing_id]
    if kind != "thing.merged" and not values(document, [*root, *path[:-1]]):
        return None  # there is no object that it could be a member of
    try:
        after = state.change(orjson.loads(orjson.dumps(document)), kind, (*root, *path), value, {})
    except (KeyError, TypeError, AttributeError):
        return None
    world.things[thing_id] = after
    return Record(
        seq, seq << 16, None, 0, kind, f"thing:{thing_id}", seq, seq - 1,
        "/" + "/".join(escaped(key) for key in (*root, *path)),
        b"" if kind == "thing.deleted" else orjson.dumps(value), None, OWN, seq,
    )  # fmt: skip


@pytest.mark.slow
@given(
    worlds,
    st.lists(st.lists(changes, min_size=1, max_size=6), min_size=1, max_size=4),
    st.lists(queries, min_size=1, max_size=4),
    callers,
    st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_what_records_say_leaf_by_leaf_is_what_the_documents_say(
    world, batches, several, subjects, ahead
):
    """Things that have to be read are read as they are then, or (``ahead``) as they will be."""
    seq = 100
    past = []
    for batch in batches:
        records = []
        for one in batch:
            seq += 1
            record = change_of(world, seq, *one)
            if record is not None:
                records.append(record)
        past.append((records, dict(world.things), seq))
    final = dict(world.things)
    for records, things, newest in past:
        wants = world.index.take(records, OWN)
        now, at = (final, seq) if ahead else (things, newest)
        world.index.put([standing_of(i, now[i], at) for i in wants.things])
    for query in several:
        note(render(query))
        for sort in ((), (SortBy("attributes/a"),)):
            assert world.pages(query, subjects, sort, size=3) == world.found(query, subjects, sort)


def standing_of(thing_id, document, seq):
    data = orjson.dumps({"thingId": thing_id, **document})
    return Standing(thing_id, data, document["policyId"], seq, 0, 0, seq)
