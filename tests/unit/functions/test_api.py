from datetime import UTC, datetime

import pytest

from littoral import every as root_every
from littoral import on as root_on
from littoral.functions import InvalidExpression, InvalidHandler, every, on
from littoral.functions.api import HANDLERS_MAX, Context, collecting
from littoral.functions.errors import FunctionNotLoaded
from littoral.functions.program import load
from littoral.functions.wire import (
    Alarm,
    Command,
    Declared,
    Done,
    Merge,
    Note,
    Run,
    Work,
    frame,
    read_from_worker,
    read_to_worker,
)
from littoral.kernel.errors import TooLarge


class Collected:
    def __init__(self):
        self.effects = []

    def emit(self, effect):
        self.effects.append(effect)

    def next_call(self):
        return 1


def context(declared=None, **work):
    outlet = Collected()
    return Context(Work(1, 0, **work), declared or Declared("h"), outlet), outlet.effects


def test_decorators_check_at_once_and_leave_the_function_alone():
    def handler(ctx):
        return 1

    assert on("a", condition="exists(a)")(handler) is handler
    assert every("5s")(handler) is handler
    assert root_on is on and root_every is every
    for wrong in (
        lambda: on("a//b"),
        lambda: on("a", kinds=["thing.exploded"]),
        lambda: every("soon"),
        lambda: on("a")(7),
    ):
        with pytest.raises(InvalidHandler):
            wrong()
    with pytest.raises(InvalidExpression):
        on("a", condition="eq(a, 1)")


def test_loading_collects_handlers_in_order():
    program = load(
        "f.py",
        "import littoral\n@littoral.on('a')\ndef one(ctx): pass\n"
        "@littoral.every('1m')\nasync def two(ctx): pass\n",
    )
    assert [(d.name, d.path, d.every_s) for d in program.declared] == [
        ("one", "a", 0),
        ("two", "/", 60),
    ]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def f(:", "f.py, line 1: invalid syntax"),
        ("x = 1", "declares no handler"),
        ("\nimport nosuchmodule", r"No module named 'nosuchmodule' \(line 2\)"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("from littoral import on\non('a', condition='x')", "InvalidExpression"),
        (b"\x00", "null bytes"),
    ],
)
def test_a_file_that_cannot_be_loaded_says_why_and_where(source, message):
    with pytest.raises(FunctionNotLoaded, match=message):
        load("f.py", source)


def test_handlers_of_one_file_are_bounded():
    with collecting():
        for _ in range(HANDLERS_MAX):
            on("a")(lambda ctx: None)
        with pytest.raises(InvalidHandler):
            on("a")(lambda ctx: None)


def test_a_context_shows_the_event_and_the_thing():
    ctx, _ = context(
        Declared("h", "features/t/properties/f1"),
        thing_id="a:b",
        kind="thing.merged",
        path="/features/t/properties",
        value=b'{"f1":7}',
        time_ms=1000,
        device_time_ms=500,
        thing=b'{"thingId":"a:b"}',
        replayed=True,
        revision=3,
        age_s=1.5,
    )
    assert ctx.thing == {"thingId": "a:b"} and ctx.thing_id == "a:b"
    assert ctx.value == 7
    event = ctx.event
    assert (event.kind, event.value, event.revision) == ("thing.merged", {"f1": 7}, 3)
    assert event.time == datetime(1970, 1, 1, 0, 0, 0, 500_000, tzinfo=UTC)
    assert event.replayed and event.age_s == 1.5


@pytest.mark.parametrize(
    ("declared", "path", "value", "found"),
    [
        ("/", "/attributes", b'{"a":1}', {"a": 1}),
        ("attributes", "/attributes/a/b", b"2", 2),
        ("attributes/a", "/", b'{"attributes":{"a":3}}', 3),
        ("attributes/a", "/", b"", None),
        ("attributes/*", "/attributes", b'{"a":3}', None),
        ("attributes/*", "/attributes/x", b"4", 4),
    ],
)
def test_the_value_of_a_context_is_what_came_at_the_handlers_path(declared, path, value, found):
    assert context(Declared("h", declared), path=path, value=value)[0].value == found


def test_a_tick_has_no_thing():
    ctx, _ = context()
    assert (ctx.thing, ctx.thing_id, ctx.event.kind, ctx.event.value) == ({}, "", "tick", None)


def test_effects_are_frames_and_come_out_as_they_went_in():
    ctx, effects = context(thing_id="a:b")
    ctx.command("a:c", "go", {"x": 1}, feature="f")
    ctx.command("a:c", "raw", b"\x00", content_type="image/png", lifetime_s=2)
    ctx.command("a:c", "empty")
    ctx.merge("a:c", "/attributes", {"x": None})
    ctx.alarm("hot", severity="error", n=1)
    ctx.log({"x": 1})
    assert effects == [
        Command(1, 0, "a:c", "go", b'{"x":1}', "application/json", "f", 10.0),
        Command(1, 0, "a:c", "raw", b"\x00", "image/png", None, 2),
        Command(1, 0, "a:c", "empty", b"", "", None, 10.0),
        Merge(1, "a:c", "/attributes", b'{"x":null}'),
        Alarm(1, "a:b", "error", "hot", b'{"n":1}'),
        Note(1, "{'x': 1}"),
    ]
    for effect in (*effects, Done(1, "x")):
        assert read_from_worker(frame(effect)[4:]) == effect
    run = Run([Work(1, 0, thing=b"{}")])
    assert read_to_worker(frame(run)[4:]) == run


def test_effects_over_a_limit_fail_in_the_handler():
    ctx, effects = context()
    with pytest.raises(TooLarge):
        ctx.command("a:b", "x", bytes(300_000))
    with pytest.raises(TooLarge):
        ctx.merge("a:b", "/", {"x": "y" * 200_000})
    with pytest.raises(InvalidHandler):
        ctx.alarm("x", severity="terrible")
    for wrong in (0, -1, float("nan")):
        with pytest.raises(InvalidHandler):
            ctx.command("a:b", "x", lifetime_s=wrong)
    assert effects == []
    ctx.log("x" * 10_000)
    assert len(effects[0].text) == 4096
