"""Who may import what, where import-linter cannot say it: front doors, and words about packages."""

import ast
import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src" / "littoral"

# A package with a second front door names it here, with why one is not enough.
MORE_DOORS = {
    "littoral.functions.host": "the worker's side: a process that must not load the node's",
    "littoral.gateway.mqtt": "one protocol of several to come",
    "littoral.twin.protocol": "Ditto Protocol envelopes, which two doors speak",
    "littoral.twin.live": "Ditto Protocol live messages, which two doors speak",
    "littoral.twin.statuses": "refusals in HTTP's numbers, which two doors speak",
    "littoral.twin.fields": "Ditto's field selectors",
}
ROOMS = {"adapters", "core", "service"}
"""Parts of a capability; what holds for them is checked by import contracts."""
IN_PARTS = ("api", "twin")
"""Packages of folders, each with a front door of its own for the others."""


def sources(*folders):
    return sorted(f for folder in folders for f in (ROOT / folder).rglob("*.py"))


@functools.cache
def imports(file):
    return list(_imports(file))


def _imports(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.lineno, node.module
        elif isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)


def reaches_inside(own, module):
    parts = module.split(".")
    if parts[0] != "littoral" or len(parts) < 3 or parts[1] in {own, "kernel"}:
        return False
    chosen_by_a_root = own in {"app", "simulate"} and "adapters" in parts
    return module not in MORE_DOORS and not chosen_by_a_root


def test_capabilities_are_imported_through_their_front_door():
    wrong = [
        f"{file.relative_to(ROOT)}:{line} reaches into {module}: "
        f"import from littoral.{module.split('.')[1]}"
        for file in sources("src/littoral")
        for line, module in imports(file)
        if reaches_inside(file.relative_to(SRC).parts[0].removesuffix(".py"), module)
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("own", "module", "wrong"),
    [
        ("edge", "littoral.twin.core.fold", True),
        ("edge", "littoral.twin", False),
        ("edge", "littoral.edge.model", False),
        ("edge", "littoral.kernel.json", False),
        ("edge", "littoral.log.adapters.sqlite", True),
        ("app", "littoral.log.adapters.sqlite", False),
        ("app", "littoral.log.service", True),
        ("api", "littoral.twin.protocol", False),
    ],
)
def test_the_check_itself_sees_who_reaches_inside(own, module, wrong):
    assert reaches_inside(own, module) is wrong


def reaches_into_a_part(file, module):
    """Whether a file imports from inside another part of its own package, past that part's door."""
    package, part, *below = file.relative_to(SRC).parts
    inside = SRC.joinpath(*module.split(".")[1:])
    if package not in IN_PARTS or inside.relative_to(SRC).parts[:1] != (package,):
        return False
    found = inside.relative_to(SRC / package).parts
    return len(found) > 1 and found[0] not in ROOMS and (not below or found[0] != part)


def test_the_parts_of_a_package_are_imported_through_their_door():
    wrong = [
        f"{file.relative_to(ROOT)}:{line} reaches into {module}: "
        f"import from {module.rpartition('.')[0]}"
        for file in sources(*(f"src/littoral/{package}" for package in IN_PARTS))
        for line, module in imports(file)
        if module.startswith("littoral.") and reaches_into_a_part(file, module)
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("file", "module", "wrong"),
    [
        ("api/door.py", "littoral.api.http.request", True),
        ("api/door.py", "littoral.api.http", False),
        ("api/door.py", "littoral.api.errors", False),
        ("api/things/routes.py", "littoral.api.http.request", True),
        ("api/things/routes.py", "littoral.api.things.listing", False),
        ("api/things/routes.py", "littoral.twin.protocol", False),
        ("twin/things/commands.py", "littoral.twin.core.state", False),
        ("twin/service.py", "littoral.twin.policies.book", True),
        ("log/commit.py", "littoral.log.core", False),
    ],
)
def test_the_check_itself_sees_who_reaches_into_a_part(file, module, wrong):
    assert reaches_into_a_part(SRC / file, module) is wrong


def packages():
    return [f for f in SRC.rglob("__init__.py") if f.parent != SRC and f.parent.name not in ROOMS]


@pytest.mark.parametrize("file", packages(), ids=lambda f: str(f.parent.relative_to(SRC)))
def test_a_package_says_what_it_never_does(file):
    doc = ast.get_docstring(ast.parse(file.read_text())) or ""
    assert "Invariant:" in doc, f"{file.parent.name}: say what always holds, as 'Invariant: …'"


def test_nobody_uses_mocks():
    word = "unittest" + ".mock"
    guilty = [f for f in sources("src", "tests", "bench") if word in f.read_text()]
    assert not guilty, f"write a fake that passes the port's contract: {guilty}"


def test_what_is_to_be_done_names_an_issue():
    pattern = re.compile("TO" + r"DO(?!\(#\d+\))|FIX" + "ME|XX" + "X:")
    guilty = [
        f"{f.relative_to(ROOT)}:{number}"
        for f in sources("src", "tests", "bench", "docs", "examples")
        for number, line in enumerate(f.read_text().splitlines(), 1)
        if pattern.search(line)
    ]
    assert not guilty, guilty


def test_no_module_is_called_utils():
    words = {"utils.py", "util.py", "helpers.py", "misc.py", "common.py"}
    assert not [f for f in sources("src") if f.name in words]
