import pytest

from littoral.functions.core.duration import parse as parse_duration
from littoral.functions.core.matching import (
    THING_KINDS,
    Matcher,
    Trigger,
    concerns,
    holds,
    is_for_thing,
)
from littoral.functions.errors import InvalidHandler
from littoral.functions.wire import Declared


def is_for(path, record_path, value, *, kind="thing.merged", things="*", thing_id="a:b"):
    trigger = Trigger.of(0, Declared("h", path, "", things, THING_KINDS))
    routes = Matcher([trigger]).routes(kind, record_path)
    return any(is_for_thing(route, thing_id) and concerns(route, value) for route in routes)


F1 = "features/telemetry/properties/f1"


@pytest.mark.parametrize(
    ("path", "record_path", "value", "verdict"),
    [
        (F1, "/features/telemetry/properties", {"f1": 1}, True),
        (F1, "/features/telemetry/properties", {"f2": 1}, False),
        (F1, "/features/telemetry/properties/f1", 1, True),
        (F1, "/features/telemetry/properties/f1/deep", 1, True),
        (F1, "/features/telemetry/properties/f2", 1, False),
        (F1, "/features/other/properties", {"f1": 1}, False),
        (F1, "/", {"features": {"telemetry": {"properties": {"f1": 0}}}}, True),
        (F1, "/", {"features": {"telemetry": 7}}, False),
        (F1, "/", {"features": {"telemetry": None}}, True),  # deleted with what is above it
        (F1, "/features", None, True),
        ("/", "/attributes/x", 1, True),
        ("features/*/properties/t", "/features/a/properties", {"t": 1}, True),
        ("features/*/properties/t", "/features", {"a": {}, "b": {"properties": {"t": 1}}}, True),
        ("features/*/properties/t", "/features", {"a": {}, "b": {}}, False),
    ],
)
def test_a_change_is_for_a_handler_if_it_brings_something_at_its_path(
    path, record_path, value, verdict
):
    assert is_for(path, record_path, value) is verdict


def test_kinds_and_things_narrow_a_handler():
    assert is_for("/", "/", {}, things="a:*") and not is_for("/", "/", {}, things="b:*")
    assert is_for("/", "/", {}, things="a:?") and not is_for("/", "/", {}, things="a")
    assert not is_for("/", "/", {}, kind="policy.modified")
    only = Trigger.of(0, Declared("h", "/", "", "*", ("thing.deleted",)))
    assert Matcher([only]).routes("thing.merged", "/") == ()
    assert len(Matcher([only]).routes("thing.deleted", "/")) == 1


def test_what_is_remembered_of_paths_is_bounded():
    matcher = Matcher([Trigger.of(0, Declared("h", "/", "", "*", THING_KINDS))])
    for n in range(5000):
        assert matcher.routes("thing.merged", f"/attributes/{n}")
    assert len(matcher._routes) < 5000


def test_a_condition_is_judged_on_the_thing_as_the_change_left_it():
    now = {"attributes": {"a": 100, "b": 1}}

    def verdict(text, kind, path, value):
        trigger = Trigger.of(0, Declared("h", "/", text, "*", THING_KINDS))
        [route] = Matcher([trigger]).routes(kind, path)
        return holds(route, lambda: now, kind, value, 0)

    merged, modified = "thing.merged", "thing.modified"
    assert not verdict("gt(attributes/a,50)", merged, "/attributes", {"a": 1})
    assert verdict("gt(attributes/a,50)", merged, "/attributes", {"b": 2})
    assert verdict("and(gt(attributes/a,50),eq(attributes/b,2))", merged, "/attributes", {"b": 2})
    assert not verdict("exists(attributes/a)", merged, "/attributes", {"a": None})
    assert not verdict("exists(attributes/a)", modified, "/attributes", {"b": 2})
    assert verdict("eq(attributes/z,null)", modified, "/attributes", {"z": None})
    assert not verdict("exists(attributes/a)", "thing.deleted", "/attributes", None)
    assert verdict("eq(attributes/a,1)", merged, "/attributes/a", 1)


def test_a_path_that_is_none_is_refused():
    with pytest.raises(InvalidHandler):
        Trigger.of(0, Declared("h", "a//b"))


@pytest.mark.parametrize(
    ("text", "seconds"), [("5s", 5), ("250ms", 0.25), ("1.5m", 90), ("2h", 7200), ("10ms", 0.01)]
)
def test_periods_are_read(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "5", "0s", "9ms", "-1s", "1d", "5 s", "169h", "1e3s", "\u0665s"]
)
def test_what_is_no_period_is_refused(text):
    with pytest.raises(InvalidHandler):
        parse_duration(text)
