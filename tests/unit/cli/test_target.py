import pytest
import typer
from typer.testing import CliRunner

from littoral.cli.kinds import Kind, parse_kind
from littoral.cli.target import Target, on_node, remember


@pytest.fixture
def reached():
    """Run a command line with one command; return the node it would talk to."""
    seen = []

    def where(target: Target, name: str, *, times: int = 1) -> None:
        seen.append((target, name, times))

    app = typer.Typer()
    app.callback()(remember)
    app.command()(on_node(where))

    def run(*words, env=None):
        names = ("URL", "USER", "PASSWORD", "API_KEY")
        none = dict.fromkeys(f"LITTORAL_{name}" for name in names)
        result = CliRunner().invoke(app, words, env=none | (env or {}))
        assert result.exit_code == 0, result.output
        return seen.pop()

    return run


def test_a_node_is_named_before_or_after_the_command(reached):
    wanted = Target("http://a:1", "me", "pw")
    options = ("--url", "http://a:1", "--user", "me", "--password", "pw")
    assert reached(*options, "where", "x") == (wanted, "x", 1)
    assert reached("where", "x", *options, "--times", "3") == (wanted, "x", 3)


def test_what_is_nearest_to_the_command_wins(reached):
    env = {"LITTORAL_URL": "http://env", "LITTORAL_USER": "env", "LITTORAL_PASSWORD": "env"}
    target, _, _ = reached("--url", "http://root", "where", "x", "--user", "leaf", env=env)
    assert target == Target("http://root", "leaf", "env")


def test_a_key_stands_for_a_user_until_a_user_is_named(reached):
    env = {"LITTORAL_API_KEY": "lk_1_x"}
    assert reached("where", "x", env=env)[0].api_key == "lk_1_x"
    assert reached("where", "x", "--api-key", "lk_2_y", env=env)[0].api_key == "lk_2_y"
    target, _, _ = reached("where", "x", "--user", "me", "--password", "pw", env=env)
    assert target == Target("http://127.0.0.1:8080", "me", "pw")


def test_without_a_word_it_is_the_node_on_this_machine(reached):
    assert reached("where", "x")[0] == Target("http://127.0.0.1:8080", "", "")


@pytest.mark.parametrize("word", ["thing", "things", "Thing", "THINGS"])
def test_kinds_are_read_in_any_form(word):
    assert parse_kind(word) is Kind.THING


def test_an_unknown_kind_is_a_usage_error_that_names_the_nearest():
    with pytest.raises(typer.BadParameter, match=r"Did you mean policies\?.*Known: things"):
        parse_kind("polices")
