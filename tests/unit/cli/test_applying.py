import json

import pytest

from littoral.cli.applying import LINES_SHOWN_MAX, apply_files
from littoral.cli.manifests import InvalidManifestFile
from littoral.cli.output import Form
from littoral.client import ApplyResult


class Node:
    """Answers in the node's place; refuses things that are called bad. Takes two at a time."""

    def __init__(self):
        self.taken = []
        self.administration = self

    def apply(self, manifests):
        batch = []
        for manifest in manifests:
            batch.append(manifest)
            if len(batch) == 2:
                yield from map(self._answer, batch)
                batch = []
        yield from map(self._answer, batch)

    def _answer(self, manifest):
        self.taken.append(manifest)
        name = manifest["metadata"]["name"]
        if name == "bad":
            return ApplyResult(
                result="error",
                message="Thing has no field 'spec.features_'.",
                description="Did you mean 'features'?",
            )
        return ApplyResult(kind="Thing", name=name, result="created")


@pytest.fixture
def applied(tmp_path, capsys):
    def apply(text, *, form=Form.TABLE, quiet=False):
        file = tmp_path / "m.yaml"
        file.write_text(text)
        node = Node()
        try:
            refused = apply_files(node, [str(file)], form=form, quiet=quiet)
        except InvalidManifestFile as e:
            refused = e
        out, err = capsys.readouterr()
        return refused, out, err, len(node.taken)

    return apply


def manifest(name, spec="spec: {}"):
    return f"kind: Thing\nmetadata: {{name: {name}}}\n{spec}\n---\n"


def test_each_object_has_a_line_and_the_sum_is_last(applied):
    refused, out, _, _ = applied(manifest("a") + manifest("b"))
    assert refused == 0
    lines = out.splitlines()
    assert lines[:2] == ["thing/a created", "thing/b created"]
    assert lines[2].startswith("2 created in ")


def test_a_refusal_names_file_line_and_suggestion_and_stops_nothing(applied):
    refused, out, err, _ = applied(
        manifest("a") + manifest("bad", "spec:\n  features_: {}") + manifest("c")
    )
    assert refused == 1
    assert "m.yaml:8: Thing bad: Thing has no field 'spec.features_'. Did you mean" in err
    assert "thing/c created" in out and "2 created, 1 refused" in out


def test_many_objects_are_summed_up(applied):
    many = LINES_SHOWN_MAX + 5
    _, out, _, _ = applied("".join(manifest(f"t{n}") for n in range(many)))
    lines = out.splitlines()
    assert len(lines) == LINES_SHOWN_MAX + 2
    assert lines[-1].startswith(f"{many} created in ") and "objects/s" in lines[-1]


def test_names_and_json_are_alone_on_standard_output(applied):
    _, out, err, _ = applied(manifest("a"), form=Form.NAME)
    assert out == "thing/a\n" and "1 created" in err
    _, out, err, _ = applied(manifest("a") + manifest("bad"), form=Form.JSON)
    assert [json.loads(line)["result"] for line in out.splitlines()] == ["created", "error"]
    assert "1 created, 1 refused" in err


def test_quiet_says_the_sum_only(applied):
    _, out, _, _ = applied(manifest("a"), quiet=True)
    assert out.startswith("1 created in ")


def test_what_stands_before_a_broken_document_is_applied(applied):
    error, out, _, taken = applied(manifest("a") + manifest("b") + manifest("c") + "x: [\n")
    assert isinstance(error, InvalidManifestFile)
    assert taken == 3 and "3 created" in out


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "---\n---\n"])
def test_a_file_without_a_manifest_is_no_success(applied, text):
    refused, out, _, taken = applied(text)
    assert (out, taken) == ("", 0) and "m.yaml: there is no manifest in it. A manifest has" in str(
        refused
    )
