import io
import sys

import pytest

from littoral.cli.manifests import InvalidManifestFile, estimate, read

TWO = """\
apiVersion: littoral/v1
kind: Thing
metadata: {name: "a:b"}
spec:
  attributes:
    since: 2024-01-01
---
apiVersion: littoral/v1
kind: Device
metadata:
  tenant: t
  name: d
spec:
  credentials:
    - type: hashed-password
      authId: 7
"""


@pytest.fixture
def written(tmp_path):
    def write(text, name="m.yaml"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        return str(file)

    return write


def values(*names):
    return [manifest.value for manifest in read(names)]


def refused(*names):
    with pytest.raises(InvalidManifestFile) as caught:
        values(*names)
    return str(caught.value)


def test_documents_come_in_order_with_dates_as_text(written):
    first, second = values(written(TWO))
    assert first["spec"] == {"attributes": {"since": "2024-01-01"}}
    assert second["kind"] == "Device"


def test_empty_documents_are_passed_over(written):
    assert values(written("---\n---\na: 1\n---\n# nothing\n")) == [{"a": 1}]


def test_json_is_yaml(written):
    assert values(written('{"kind": "Thing", "spec": {"a": [1, null]}}', "m.json")) == [
        {"kind": "Thing", "spec": {"a": [1, None]}}
    ]


def test_a_folder_gives_its_manifests_in_the_order_of_their_names(written, tmp_path):
    written("a: 2\n", "f/20.yml")
    written("a: 1\n", "f/10.yaml")
    written("not: read\n", "f/readme.txt")
    assert values(str(tmp_path / "f")) == [{"a": 1}, {"a": 2}]


def test_a_dash_is_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a: 1\n---\na: 2\n")))
    assert values("-") == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("a: [1,\nb: 2\n", 3, "expected ',' or ']'"),
        ("a: 1\n  b: 2\n", 2, "not allowed"),
        ("kind: A\nspec: {}\nkind: B\n", 3, "'kind' stands here a second time"),
        ("a: 1\n---\n- b\n", 3, "this is no object"),
        ("a: *nobody\n", 1, "undefined alias"),
        ("a: !!python/object:os.system x\n", 1, "could not determine a constructor"),
    ],
)
def test_what_is_broken_is_told_with_its_line(written, text, line, problem):
    sentence = refused(written(text))
    assert f"m.yaml:{line}:" in sentence, sentence
    assert problem in sentence, sentence


@pytest.mark.slow
def test_deep_nesting_is_an_error_and_no_crash(written):
    assert "m.yaml" in refused(written("[" * 5000 + "]" * 5000))


def test_bytes_that_are_no_text_are_an_error(tmp_path):
    file = tmp_path / "m.yaml"
    file.write_bytes(b"a: \xff\xfe\n")
    assert str(file) in refused(str(file))


def test_a_missing_file_is_told_before_anything_is_read(written):
    assert "nowhere.yaml is not there" in refused(written(TWO), "nowhere.yaml")


def test_an_empty_folder_is_an_error(tmp_path):
    assert "holds no manifest" in refused(str(tmp_path))


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("Device has no field 'spec.credentials'.", 14),
        ("this is wrong - at `$.spec.credentials[0].authId`", 16),
        ("this is wrong - at `$.metadata`", 10),
        ("Device has no field 'spec.elsewhere'.", 13),
        ("there is no tenant 't'.", 8),
    ],
)
def test_the_place_of_a_refusal_is_that_of_the_member_it_names(written, message, line):
    _, device = read([written(TWO)])
    assert device.place_of(message).endswith(f"m.yaml:{line}")


def test_a_manifest_has_a_title_however_little_it_says(written):
    titles = [m.title for m in read([written(TWO + "---\nkind: Thing\n---\nspec: {}\n")])]
    assert titles == ["Thing a:b", "Device t/d", "Thing", "manifest"]


def test_the_number_of_documents_is_guessed_from_the_lines(written):
    assert estimate([written(TWO)]) == 2
    assert estimate([written("{}", "m.json")]) is None
    assert estimate(["-"]) is None
