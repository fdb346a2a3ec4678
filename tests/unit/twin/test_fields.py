"""The fields selector: Ditto's grammar, and what it leaves of a document."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.twin import fields

THING = {
    "thingId": "a:b",
    "attributes": {"model": 1, "location": {"lat": 2, "lon": 3}, "a/b": 4},
    "features": {
        "lamp": {"properties": {"on": True, "color": {"r": 1, "g": 2}}},
        "pump": {"properties": {"on": None}},
    },
}


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("thingId", {"thingId": "a:b"}),
        ("/thingId", {"thingId": "a:b"}),
        (
            "thingId,attributes(model,location/lat)",
            {"thingId": "a:b", "attributes": {"model": 1, "location": {"lat": 2}}},
        ),
        (
            "features/*/properties/on",
            {
                "features": {
                    "lamp": {"properties": {"on": True}},
                    "pump": {"properties": {"on": None}},
                }
            },
        ),
        (
            "features/lamp/properties(on,color(r))",
            {"features": {"lamp": {"properties": {"on": True, "color": {"r": 1}}}}},
        ),
        ("attributes/model,attributes", {"attributes": THING["attributes"]}),
        ("attributes,attributes/model", {"attributes": THING["attributes"]}),
        ("attributes/a~1b", {"attributes": {"a/b": 4}}),
        ("nothing/here,thingId/below", {}),
    ],
)
def test_what_is_selected_is_left(text, left):
    assert fields.select(THING, fields.parse(text)) == left


@pytest.mark.parametrize(
    "text",
    ["", ",", "a,", "a(b", "a)", "a,,b", "(a)", "a(b)c", "a()", "a//b", "a(" * 40, "a" * 9000],
)
def test_what_cannot_be_read_is_refused(text):
    with pytest.raises(fields.InvalidFields):
        fields.parse(text)


@given(st.text(alphabet="ab,()/*~ ", max_size=30))
def test_any_text_is_read_or_refused_and_never_adds_anything(text):
    try:
        tree = fields.parse(text)
    except fields.InvalidFields:
        return
    document = {"a": {"a": 1, "b": {"a": 2}}, "b": 3}
    left = fields.select(document, tree)
    assert set(left) <= set(document)
