import json
import sys

import pytest

from littoral.app import cli
from littoral.app.main import main


def ran(capsys, *words):
    code = main(list(words))
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize("word", ["version", "--version"])
def test_the_version_is_one_line(capsys, word):
    code, out, _ = ran(capsys, word)
    assert code == 0 and out.startswith("littoral ") and out.count("\n") == 1


def test_help_lists_every_command(capsys):
    code, out, _ = ran(capsys, "--help")
    assert code == 0
    for word in (
        "get", "describe", "apply", "delete", "watch", "send", "status", "doctor", "token",
        "up", "edge", "demo", "bench", "config", "version",
    ):  # fmt: skip
        assert f"│ {word} " in out, word


@pytest.mark.parametrize(
    "words",
    [
        ("fetch",),
        ("get",),
        ("get", "fings"),
        ("get", "things", "--limit", "0"),
        ("delete", "gadget", "a/b"),
        ("get", "gadgets"),
        ("demo", "--devices", "0"),
        ("bench", "ingest", "--only", "kafka"),
        ("send", "a:b", "hi", "--timeout", "61"),
        ("token", "create", "s", "--tenant", "t", "--hours", "1000"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_exit_code_2_and_nothing_on_standard_output(capsys, words):
    code, out, err = ran(capsys, *words)
    assert (code, out) == (2, "")
    assert err.startswith("Usage: littoral")


@pytest.mark.real
def test_a_refusal_is_one_line_and_exit_code_1(capsys):
    code, out, err = ran(capsys, "get", "things", "--url", "http://127.0.0.1:1")
    assert (code, out) == (1, "")
    assert err.startswith("littoral: there is no node at http://127.0.0.1:1: ")
    assert err.endswith("with --url or LITTORAL_URL.\n") and err.count("\n") == 1


def test_an_edge_without_the_command_line_says_what_to_install(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "typer", None)
    monkeypatch.delitem(sys.modules, "littoral.app.cli")
    code, out, err = ran(capsys, "get", "things")
    assert (code, out) == (2, "")
    assert "typer is missing" in err and "littoral[cli]" in err and err.count("\n") == 1
    assert ran(capsys, "version")[0] == 0


def test_settings_are_shown_with_their_sources(capsys, monkeypatch, tmp_path):
    file = tmp_path / "site.toml"
    file.write_text('[http]\nlisten = "127.0.0.1:81"\n')
    monkeypatch.setenv("LITTORAL_NAME", "quay")
    code, out, _ = ran(
        capsys, "config", "edge", "--config", str(file), "--data-dir", "/d", "-o", "json"
    )
    assert code == 0
    settings = json.loads(out)
    assert settings["role"] == {"value": "site", "source": "flag"}
    assert settings["name"] == {"value": "quay", "source": "LITTORAL_NAME"}
    assert settings["http.listen"] == {"value": "127.0.0.1:81", "source": str(file)}
    assert settings["data_dir"] == {"value": "/d", "source": "flag"}
    assert settings["mqtt.listen"]["source"] == "default"


def test_the_demo_is_told_what_was_said(monkeypatch, capsys):
    from littoral.app import demo

    told = []
    monkeypatch.setattr(demo, "run_demo", lambda options: told.append(options) or 1)
    words = [
        "demo",
        "--headless",
        "--json",
        "--duration",
        "30",
        "--outage",
        "5",
        "--devices",
        "20",
        "--keep-dir",
        "/k",
    ]
    assert cli.run(words) == 1
    (options,) = told
    assert (options.duration_s, options.outage_s, options.devices) == (30.0, 5.0, 20)
    assert options.headless and options.json and options.keep_dir == "/k"
