"""The blocking client is what docs/unasync.py makes of the asyncio one; users can type-check both."""

import importlib.util
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from littoral.client import AsyncClient, AsyncSession, Client, Session

ROOT = Path(__file__).parents[2]
SYNC = ROOT / "src" / "littoral" / "client" / "sync"


@pytest.fixture(scope="module")
def unasync():
    spec = importlib.util.spec_from_file_location("unasync", ROOT / "docs" / "unasync.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_the_blocking_client_is_fresh(unasync):
    made = unasync.modules()
    assert {file.name for file in SYNC.glob("*.py")} == set(made)
    stale = [name for name, text in made.items() if (SYNC / name).read_text() != text]
    assert not stale, "run .venv/bin/python docs/generate.py"


def test_nothing_of_asyncio_is_left_in_the_blocking_client():
    for file in SYNC.glob("*.py"):
        text = file.read_text()
        assert "async " not in text and "await " not in text and "Async" not in text, file.name


def methods(kind):
    return {
        name: inspect.signature(one)
        for name, one in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_")
    }


@pytest.mark.parametrize(("one", "other"), [(Client, AsyncClient), (Session, AsyncSession)])
def test_both_clients_have_the_same_methods(one, other):
    blocking, waiting = methods(one), methods(other)
    assert blocking.keys() == waiting.keys()
    for name, signature in blocking.items():
        assert list(signature.parameters) == list(waiting[name].parameters), name


PROGRAM = """
import asyncio
from littoral.client import AsyncClient, Check, Client, Metric, Signal, Step, Written, rql

def blocking() -> list[str]:
    with Client("http://127.0.0.1:8080", user="ditto", password="ditto") as client:
        written: Written = client.things.put("a:b", {"x": 1}, if_match="*", timeout_s=3)
        revision: int | None = written.revision
        allowed: bool = client.may("a:b", "thing:/", "WRITE")
        many: dict[str, bool] = client.check({"q": Check("a:b", "thing:/")})
        with client.session(declared_acks=["mine"]) as session:
            session.follow_events(rql.gt("attributes/n", 3), extra_fields=["attributes/site"])
            for signal in session.signals(idle_s=1.0):
                known: Signal = signal
                session.acknowledge(known, "mine")
        client.beyond.transaction([Step("modify", "a:b", 1, "/attributes/n")])
        client.beyond.aggregate([Metric("count")], group_by=["attributes/site"])
        return list(client.search.ids(rql.eq("attributes/site", "s1"), sort=["-_modified"]))

async def waiting() -> int:
    async with AsyncClient(token="t") as client:
        async for thing in client.search.things(fields="thingId"):
            print(thing["thingId"])
        async for change in client.history.changes("a:b", first=1):
            print(change.revision)
        return await client.search.count()

print(blocking(), asyncio.run(waiting()))
"""


@pytest.mark.slow
def test_a_users_program_passes_mypy(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    mypy = Path(sys.executable).with_name("mypy")
    done = subprocess.run(
        [mypy, "--strict", "--config-file", "/dev/null", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_a_users_mistake_does_not_pass_mypy(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "from littoral.client import Client\n"
        "def f(c: Client) -> None:\n"
        "    c.things.put('a:b', 1, if_mach='*')\n"
    )
    mypy = Path(sys.executable).with_name("mypy")
    done = subprocess.run(
        [mypy, "--strict", "--config-file", "/dev/null", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )
    assert 'Unexpected keyword argument "if_mach"' in done.stdout
