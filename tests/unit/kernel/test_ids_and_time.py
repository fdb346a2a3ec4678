"""Identifiers, instants and canonical JSON."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.kernel import ids, json
from littoral.kernel import time as instants
from littoral.kernel.errors import InvalidId, InvalidJson


@pytest.mark.parametrize("text", ["org.acme:a", ":a", "a:b:c", "org-x.y_1:Ω ж*+", "a:" + "x" * 254])
def test_entity_ids_of_the_right_form_pass(text):
    assert ids.parse_entity_id(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a:",
        "1a:b",
        "a..b:c",
        "a.:b",
        "a:b/c",
        "a:\x00",
        "a:\x85",
        "a:" + "x" * 255,
        "é:b",
        "a:ü",
    ],
)
def test_other_entity_ids_are_refused(text):
    with pytest.raises(InvalidId):
        ids.parse_entity_id(text)


@pytest.mark.parametrize("text", ["cloud", "site-1", "S.1_x"])
def test_node_names_pass(text):
    assert ids.parse_node_id(text) == text


@pytest.mark.parametrize("text", ["", "-a", "a/b", "a b", "x" * 64])
def test_what_is_no_node_name_is_refused(text):
    with pytest.raises(InvalidId):
        ids.parse_node_id(text)


@given(st.integers(0, 4_000_000_000_000))
def test_an_instant_survives_its_text(ms):
    assert instants.parse(instants.render(ms)) == ms
    assert instants.parse(str(ms)) == ms


@pytest.mark.parametrize("text", ["", "now", "2026-11-22", "2026-11-22T10:00:00", "1" * 16, "nan"])
def test_what_is_no_instant_is_refused(text):
    with pytest.raises(instants.InvalidInstant):
        instants.parse(text)


def test_an_offset_is_understood():
    assert instants.parse("2026-11-22T15:20:00+01:00") == instants.parse("2026-11-22T14:20:00Z")


def test_canonical_bytes_do_not_depend_on_order_or_on_whole_floats():
    assert (
        json.canonical({"b": 1.0, "a": [2, {"d": 1, "c": 2}]}) == b'{"a":[2,{"c":2,"d":1}],"b":1}'
    )


@pytest.mark.parametrize("text", [b"", b"{", b"NaN", b'{"a":1} x', b"\xff", b"[" * 2000])
def test_what_is_not_json_is_refused_with_a_sentence(text):
    with pytest.raises(InvalidJson, match="not JSON"):
        json.decode(text)


def test_an_object_is_wanted():
    with pytest.raises(InvalidJson, match="object is wanted"):
        json.decode_object(b"[1]")
