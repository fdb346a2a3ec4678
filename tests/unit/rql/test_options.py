import pytest

from littoral.rql import InvalidOption, Limit, Options, SortBy, parse_options


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("", Options()),
        ("size(10)", Options(size=10)),
        ("size(1)", Options(size=1)),
        ("sort(+thingId)", Options(sort=(SortBy("thingId"),))),
        ("sort( thingId)", Options(sort=(SortBy("thingId"),))),  # a plus that was not escaped
        (
            "sort(+/attributes/a b,-features/x/properties/y),size(200)",
            Options(
                sort=(SortBy("attributes/a b"), SortBy("features/x/properties/y", descending=True)),
                size=200,
            ),
        ),
        ("size(1),size(2)", Options(size=2)),
        ("cursor(aB-_9=),size(3)", Options(cursor="aB-_9=", size=3)),
        ("limit(20,10)", Options(limit=Limit(20, 10))),
    ],
)
def test_options_are_read(text, options):
    assert parse_options(text) == options


@pytest.mark.parametrize(
    "text",
    [
        "size",
        "size()",
        "size(-1)",
        "size(0)",
        "limit(0,0)",
        "size(201)",
        "size(٣)",
        "size(1),",
        ",size(1)",
        "size(1);sort(+a)",
        "sort(a)",
        "sort()",
        "sort(+a,)",
        "sort(+a,b)",
        "sort(" + ",".join(["+a"] * 9) + ")",
        "cursor()",
        "cursor(a b)",
        "cursor(a),limit(0,1)",
        "limit(1)",
        "limit(-1,1)",
        "limit(0,201)",
        "page(3)",
        "x" * 9000,
    ],
)
def test_options_that_make_no_sense_are_refused(text):
    with pytest.raises(InvalidOption):
        parse_options(text)
