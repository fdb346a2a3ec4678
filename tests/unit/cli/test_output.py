import json

import pytest
import yaml

from littoral.cli.output import Form, amount, amount_of_bytes, duration, show, show_one

ROWS = [
    {"id": "a", "enabled": True, "namespaces": ["x", "y"], "defaultPolicy": ""},
    {"id": "b", "enabled": False, "namespaces": [], "defaultPolicy": "x:p", "more": {"k": 1}},
]
COLUMNS = ("id", "namespaces", "defaultPolicy", "enabled")


def shown(form, rows=ROWS):
    return show(rows, form=form, columns=COLUMNS, name="id")


def test_a_table_has_a_heading_and_a_line_for_each_object(capsys):
    assert shown(Form.TABLE) == 2
    heading, first, second = capsys.readouterr().out.splitlines()
    assert heading.split("  ")[0] == "ID" and "DEFAULT POLICY" in heading
    assert first.split() == ["a", "x,", "y", "-", "yes"]
    assert second.split() == ["b", "-", "x:p", "no"]


def test_a_table_in_a_pipe_has_no_trailing_spaces_and_no_colour(capsys):
    shown(Form.TABLE)
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert all(line == line.rstrip() for line in out.splitlines())


def test_brackets_in_values_are_not_markup(capsys):
    show([{"id": "[red]x[/red]"}], form=Form.TABLE, columns=("id",), name="id")
    assert "[red]x[/red]" in capsys.readouterr().out


def test_an_empty_table_says_so_beside_the_data(capsys):
    assert shown(Form.TABLE, []) == 0
    captured = capsys.readouterr()
    assert captured.out == "" and "nothing found" in captured.err


def test_json_and_yaml_hold_objects_whole(capsys):
    shown(Form.JSON)
    assert json.loads(capsys.readouterr().out) == ROWS
    shown(Form.YAML)
    assert list(yaml.safe_load_all(capsys.readouterr().out)) == ROWS


def test_an_empty_list_is_an_empty_list_in_json(capsys):
    shown(Form.JSON, [])
    assert json.loads(capsys.readouterr().out) == []


def test_names_are_one_a_line(capsys):
    shown(Form.NAME)
    assert capsys.readouterr().out == "a\nb\n"


def test_one_object_is_yaml_unless_json_is_wanted(capsys):
    show_one({"b": 1, "a": "é"}, form=Form.TABLE)
    assert capsys.readouterr().out == "b: 1\na: é\n"
    show_one({"b": 1}, form=Form.JSON)
    assert json.loads(capsys.readouterr().out) == {"b": 1}
    show_one({"thingId": "n:x"}, form=Form.NAME)
    assert capsys.readouterr().out == "n:x\n"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0, "0 s"),
        (0.25, "0.2 s"),
        (8.9, "8 s"),
        (61, "1 min 1 s"),
        (3600, "1 h"),
        (90_061, "1 d 1 h"),
    ],
)
def test_durations_have_two_units_at_the_most(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (1 << 40, "1.0 TiB")]
)
def test_amounts_of_bytes_are_readable(count, text):
    assert amount_of_bytes(count) == text


def test_amounts_agree_with_their_noun():
    assert [amount(n, "thing") for n in (0, 1, 2000)] == ["0 things", "1 thing", "2,000 things"]
