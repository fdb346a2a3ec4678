"""Each import contract of pyproject.toml catches what it forbids: planted in a copy of the source."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINTER = Path(sys.executable).with_name("lint-imports")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.real,
    pytest.mark.skipif(not LINTER.exists(), reason="import-linter is not installed"),
]

PLANTS = {
    "a lower floor imports a higher one": ("floors", {"log/planted.py": "import littoral.twin"}),
    "a package without a floor": ("floors", {"stray/__init__.py": "import littoral.kernel.ids"}),
    "a core imports its service": (
        "rooms",
        {"registry/core/planted.py": "import littoral.registry.service"},
    ),
    "a core waits": ("pure-cores", {"twin/core/planted.py": "import asyncio"}),
    "the protocol asks the loop": (
        "pure-cores",
        {"twin/protocol/planted.py": "import asyncio"},
    ),
    "policies ask about things": (
        "twin",
        {"twin/policies/planted.py": "import littoral.twin.things"},
    ),
    "a part of twin without a floor": ("twin", {"twin/stray/__init__.py": "import msgspec"}),
    "policies reach into things": (
        "api",
        {"api/policies/planted.py": "import littoral.api.things"},
    ),
    "the pipeline knows a session": (
        "api",
        {"api/pipeline/planted.py": "import littoral.api.sessions"},
    ),
    "a value asks for the time": ("pure-cores", {"policy/planted.py": "import time"}),
    "a capability chooses an adapter": (
        "adapters",
        {"gateway/planted.py": "import littoral.log.adapters.sqlite"},
    ),
    "the command line opens a log": ("faces", {"cli/planted.py": "import littoral.log"}),
    "a capability writes SQL": ("sql", {"twin/planted.py": "import apsw"}),
    "siblings import each other": (
        "acyclic",
        {
            "eventing/one.py": "import littoral.eventing.two",
            "eventing/two.py": "import littoral.eventing.one",
        },
    ),
}


def lint(directory, contract):
    return subprocess.run(
        [LINTER, "--no-logo", "--no-cache", "--contract", contract],
        cwd=directory,
        env={"PYTHONPATH": str(directory / "src"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


@pytest.mark.parametrize("what", PLANTS)
def test_a_planted_violation_is_caught(tmp_path, what):
    contract, files = PLANTS[what]
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "src" / "littoral", tmp_path / "src" / "littoral", ignore=ignore)
    for name, text in files.items():
        file = tmp_path / "src" / "littoral" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text + "\n")
    done = lint(tmp_path, contract)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "BROKEN" in done.stdout or "not listed as layers" in done.stdout, done.stdout
    planted = next(iter(files)).removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    assert planted.rpartition(".")[2] in done.stdout, done.stdout
