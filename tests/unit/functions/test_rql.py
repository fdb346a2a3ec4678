import pytest

from littoral.functions.core.rql import (
    CONDITION_CHARS_MAX,
    CONDITION_DEPTH_MAX,
    And,
    Compare,
    Exists,
    In,
    Not,
    Operator,
    Or,
    parse,
    render,
)
from littoral.functions.core.verdict import like, lookup_in, matches
from littoral.functions.errors import InvalidCondition

THING = {
    "thingId": "a:b",
    "attributes": {
        "n": 5,
        "f": 1.5,
        "s": "Lamp 1",
        "num": "5.0",
        "b": True,
        "z": None,
        "list": [1, "two", [3]],
        "objects": [{"x": 1}, {"x": 2}, {"y": 3}],
        "o": {},
        "a/b": 1,
        "key with space": "ü",
    },
}


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("eq(a,1)", Compare(Operator.EQ, "a", 1)),
        (" \teq(a,1)", Compare(Operator.EQ, "a", 1)),
        ("gt(/a/b,-1.50)", Compare(Operator.GT, "/a/b", -1.5)),
        ("ne(a b*,null)", Compare(Operator.NE, "a b*", None)),
        ("eq(a,true)", Compare(Operator.EQ, "a", True)),  # noqa: FBT003
        ('eq(a,"x,)\\"\\u00e4\\ud83d\\ude00")', Compare(Operator.EQ, "a", 'x,)"ä😀')),
        ("like(a,'*\"\\'?')", Compare(Operator.LIKE, "a", "*\"'?")),
        ("in(a,1,'2',false)", In("a", (1, "2", False))),
        ("exists(features/x)", Exists("features/x")),
        ("and(exists(a), or(exists(b)),\tnot(exists(c)))",
         And((Exists("a"), Or((Exists("b"),)), Not(Exists("c"))))),
        ("eq(a,9223372036854775807)", Compare(Operator.EQ, "a", 2**63 - 1)),
        ("eq(a,-9223372036854775808)", Compare(Operator.EQ, "a", -(2**63))),
    ],
)  # fmt: skip
def test_a_condition_is_read_and_written_again(text, query):
    assert parse(text) == query
    assert parse(render(query)) == query


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("", 0),
        ("eq", 0),
        ("eq(a, 1)", 5),
        ("eq (a,1)", 0),
        ("eq(a,1) ", 7),
        ("eq(a,1)x", 7),
        ("and( eq(a,1))", 4),
        ("and()", 4),
        ("and(eq(a,1),)", 12),
        ("eq(,1)", 3),
        ("eq(a)", 4),
        ("eq(a,b)", 5),
        ("eq(a,01)", 5),
        ("eq(a,-0)", 5),
        ("eq(a,1e3)", 5),
        ("eq(a,1.)", 5),
        ("eq(a,9223372036854775808)", 5),
        ("eq(a," + "9" * 400 + ".0)", 5),
        ('eq(a,"x)', 5),
        ('eq(a,"\\ud83d")', 5),
        ('eq(a,"\\x")', 5),
        ("like(a,1)", 7),
        ("not(exists(a),exists(b))", 13),
        ("xor(exists(a))", 0),
        ("exists(a(b))", 8),
        ("gt(_modified,time:now-1h)", 13),
        ("EQ(a,1)", 0),
    ],
)
def test_what_is_no_condition_is_refused_at_its_place(text, at):
    with pytest.raises(InvalidCondition) as e:
        parse(text)
    assert e.value.facts["at"] == at
    assert f"at character {at + 1}" in str(e.value)


def test_conditions_are_bounded_in_length_and_depth():
    deep = "not(" * CONDITION_DEPTH_MAX + "exists(a)" + ")" * CONDITION_DEPTH_MAX
    assert parse(deep)
    with pytest.raises(InvalidCondition):
        parse(f"not({deep})")
    with pytest.raises(InvalidCondition):
        parse(" " * CONDITION_CHARS_MAX + "exists(a)")


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("gt(attributes/n,4)", True),
        ("gt(/attributes/n,5)", False),
        ("ge(attributes/n,5)", True),
        ("lt(attributes/n,5.5)", True),
        ("le(attributes/n,4.9)", False),
        ("eq(attributes/n,5.0)", True),
        ('eq(attributes/n,"5")', True),  # numerals compare as numbers
        ("eq(attributes/num,5)", True),
        ('gt(attributes/n,"10")', False),
        ('gt(attributes/n,"abc")', False),  # as texts: "5" < "abc"
        ('lt(attributes/n,"abc")', True),
        ('eq(attributes/b,"true")', True),
        ("eq(attributes/b,true)", True),
        ("eq(attributes/b,1)", False),
        ("gt(attributes/b,false)", True),
        ("eq(attributes/z,null)", True),
        ("eq(attributes/missing,null)", False),
        ("ne(attributes/z,null)", False),
        ("ne(attributes/missing,1)", True),
        ("ne(attributes/n,5)", False),
        ("ne(attributes/n,6)", True),
        ("gt(attributes/z,1)", False),
        ("gt(attributes/n,null)", False),
        ("like(attributes/s,'Lamp*')", True),
        ("like(attributes/s,'lamp*')", False),
        ("like(attributes/s,'Lamp')", False),
        ("like(attributes/n,'?')", True),
        ("like(attributes/b,'t*')", True),
        ("like(attributes/z,'*')", False),
        ("in(attributes/n,1,2,5)", True),
        ("in(attributes/n,1,2)", False),
        ("eq(attributes/list,'two')", True),
        ("eq(attributes/list,3)", True),
        ("eq(attributes/list,4)", False),
        ("eq(attributes/objects/x,2)", True),
        ("eq(attributes/objects/y,2)", False),
        ("exists(attributes/objects/y)", True),
        ("eq(attributes/o,1)", False),
        ("ne(attributes/o,1)", False),
        ("exists(attributes/o)", True),
        ("exists(attributes/z)", True),
        ("eq(attributes/a~1b,1)", True),
        ("eq(attributes/key with space,'ü')", True),
        ("exists(attributes/*)", False),  # in memory a star is a name like any other
        ("and(gt(attributes/n,1),not(exists(attributes/x)))", True),
        ("or(gt(attributes/n,9),eq(thingId,'a:b'))", True),
        ("not(eq(attributes/missing,1))", True),
    ],
)
def test_a_condition_judges_a_thing_as_ditto_does_in_memory(text, verdict):
    assert matches(parse(text), lookup_in(THING)) is verdict


def test_texts_are_ordered_by_utf_16_code_units():
    thing = {"s": "\U0001f600"}  # D83D DE00, below FF5E though its code point is above
    assert matches(parse("lt(s,'\uff5e')"), lookup_in(thing))


def test_a_pattern_cannot_be_made_slow():
    assert not like("*a" * 200, "a" * 199 + "b" * 5000)
    assert like("*a" * 200 + "*", "a" * 200)
    assert like("a?c*", "abc") and not like("a?c", "ac") and like("**", "") and not like("?", "")
