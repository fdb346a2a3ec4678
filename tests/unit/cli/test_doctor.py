import pytest

from littoral.cli.doctor import examine
from littoral.client import ApiError, Unreachable

LINK = {
    "session": True, "flow": True, "skew_ms": 3, "last_error": "", "backlog_records": 7,
}  # fmt: skip
LOG = {"refused": None, "bytes_used": 10, "bytes_max": 100}


class Node:
    """Answers as a node does, or refuses."""

    def __init__(self, *, log=None, links=None, ready=True, refusal=None):
        self._status = {"log": LOG | (log or {}), "links": links or {}, "reason": "it starts"}
        self._ready = ready
        self._refusal = refusal

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def is_healthy(self):
        if isinstance(self._refusal, Unreachable):
            raise self._refusal
        return self._ready

    def status(self):
        if self._refusal is not None:
            raise self._refusal
        return self._status


@pytest.fixture
def examined(capsys):
    def run(node, data_dir=None):
        healthy = examine(lambda: node, url="http://n", data_dir=data_dir)
        return healthy, capsys.readouterr().out

    return run


def test_a_sound_node_has_no_finding_but_ok(examined, tmp_path):
    healthy, out = examined(Node(links={"quay": LINK}), str(tmp_path))
    assert healthy
    about = [line for line in out.splitlines() if "hot path" not in line and line[0] != " "]
    assert {line.split()[0] for line in about} == {"ok"}
    assert len(about) < len(out.splitlines()), "it says how this installation was built"
    assert "7 records wait" in out and "10 % full" in out


@pytest.mark.parametrize(
    ("node", "mark", "text"),
    [
        (Node(ready=False), "fail", "not ready: it starts"),
        (Node(log={"refused": "the disk is full"}), "fail", "refused: the disk is full"),
        (Node(log={"bytes_used": 90}), "warn", "90 % full"),
        (Node(links={"q": LINK | {"session": False}}), "fail", "no session with q: it was never"),
        (Node(links={"q": LINK | {"flow": False}}), "warn", "nothing moves"),
        (Node(links={"q": LINK | {"skew_ms": -9000}}), "warn", "q is -9.0 s off ours"),
        (Node(refusal=ApiError(401, "x", "no.")), "fail", "the node refuses: no."),
        (Node(refusal=Unreachable("nobody.", hint="Start one.")), "fail", "nobody."),
    ],
)  # fmt: skip
def test_what_is_wrong_is_marked_and_comes_with_advice(examined, node, mark, text):
    healthy, out = examined(node)
    lines = out.splitlines()
    (found,) = [n for n, line in enumerate(lines) if text in line]
    assert lines[found].startswith(mark)
    assert healthy == (mark != "fail")
    if "not ready" not in text:
        assert lines[found + 1].startswith("     ")


def test_a_directory_is_looked_through_for_damage(examined, tmp_path):
    (tmp_path / "log.sqlite.damaged-1").touch()
    healthy, out = examined(Node(), str(tmp_path))
    assert healthy and "log.sqlite.damaged-1 was moved aside" in out
    healthy, out = examined(Node(), str(tmp_path / "nowhere"))
    assert not healthy and "is no directory" in out
