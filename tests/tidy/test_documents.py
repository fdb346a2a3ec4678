"""Documents say what the code says: the reference is fresh, decisions have their form."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FRAGMENT = re.compile(r"[a-z0-9-]+\.(added|changed|fixed|removed|security)\.md")
STATUS = re.compile(
    r"^Status: (proposed|accepted|superseded by \d{4}) · \d{4}-\d\d-\d\d · revisits: .+$"
)
# The last is "How we will notice that it was wrong", in whatever words.
SECTIONS = ("Context", "Options", "Decision", "Consequences", "notice")


@pytest.fixture(scope="module")
def generator():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def generated(generator):
    return generator.documents()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["errors.md", "limits.md", "settings.md", "cli.md"])
def test_the_reference_is_fresh(generated, name):
    written = (ROOT / "docs" / "reference" / name).read_text()
    assert written == generated[name], "run .venv/bin/python docs/generate.py"


def test_every_limit_is_named_in_a_table():
    documents = (ROOT / "docs" / "reference" / "limits.md", ROOT / "ARCHITECTURE.md")
    text = "".join(d.read_text() for d in documents if d.exists())
    assigned = re.compile(r"^([A-Z_][A-Z0-9_]*_MAX)\b.*=", re.MULTILINE)
    missing = {
        f"{file.relative_to(ROOT)}: {name}"
        for file in (ROOT / "src").rglob("*.py")
        for name in assigned.findall(file.read_text())
        if f"`{name}`" not in text
    }
    assert not missing, f"run .venv/bin/python docs/generate.py for {sorted(missing)}"


def decisions():
    return sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))


@pytest.mark.parametrize("file", decisions(), ids=lambda f: f.stem)
def test_a_decision_has_its_header_and_sections(file):
    lines = file.read_text().splitlines()
    number = file.name[:4]
    assert re.fullmatch(r"\d{4}-[a-z0-9-]+\.md", file.name)
    assert lines[0].startswith(f"# {number}: "), "the title begins with the number"
    assert lines[1] == "" and STATUS.match(lines[2]), lines[2]
    headings = [line[3:] for line in lines if line.startswith("## ")]
    missing = [s for s in SECTIONS if not any(s in h for h in headings)]
    assert not missing, f"{file.name} lacks {missing}, it has {headings}"


def test_decisions_have_one_number_each():
    numbers = [file.name[:4] for file in decisions()]
    assert len(numbers) == len(set(numbers))


def test_the_index_of_decisions_has_each_with_its_title_and_status():
    index = (ROOT / "docs" / "adr" / "README.md").read_text()
    for file in decisions():
        lines = file.read_text().splitlines()
        status, date, _ = lines[2].removeprefix("Status: ").split(" · ", 2)
        row = f"| [{file.name[:4]}]({file.name}) | {lines[0][8:]} | {status} | {date} |"
        assert row in index, f"docs/adr/README.md lacks: {row}"


def test_links_between_documents_lead_somewhere():
    documents = [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "examples").rglob("*.md"),
    ]
    for document in documents:
        for target in re.findall(r"\]\(([^)#:]+)[^):]*\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"


def test_fragments_of_the_changelog_are_named_and_not_empty():
    for file in (ROOT / "changes").iterdir():
        assert FRAGMENT.fullmatch(file.name), file.name
        assert file.read_text().strip(), file.name
