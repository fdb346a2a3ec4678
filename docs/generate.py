"""Write docs/reference/ from the code (errors, limits, settings, commands), and CHANGELOG.md.

Run it after changing one of them: ``.venv/bin/python docs/generate.py``. A tidy test compares.
The changelog is put together from ``changes/<slug>.<sort>.md``, so that branches do not meet in
one file; the fragments stay until a release moves them under its own heading.
"""

import argparse
import ast
import importlib
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

import littoral
from littoral.kernel.errors import LittoralError

DOCS = Path(__file__).parent
SOURCE = Path(littoral.__file__).parent
REFERENCE = DOCS / "reference"
NOTICE = "<!-- Written by docs/generate.py from the code; change that, then run it. -->\n\n"
FLOORS = (
    "kernel", "log", "policy", "rql", "registry", "identity", "twin", "eventing", "functions", "gateway", "search", "edge",
    "api", "node", "client", "cli", "app", "simulate",
)  # fmt: skip


def documents() -> dict[str, str]:
    """Every page of the reference, by file name."""
    return {
        "errors.md": NOTICE + errors_page(),
        "limits.md": NOTICE + limits_page(),
        "settings.md": NOTICE + settings_page(),
        "cli.md": NOTICE + cli_page(),
    }


def _modules() -> Iterator[Any]:
    for found in pkgutil.walk_packages([str(SOURCE)], "littoral."):
        yield importlib.import_module(found.name)


def _table(headings: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [headings, tuple("---" for _ in headings), *rows]
    return "".join(
        f"| {' | '.join(c.replace('|', chr(92) + '|') for c in line)} |\n" for line in lines
    )


def _first_paragraph(text: str | None) -> str:
    return " ".join((text or "").partition("\n\n")[0].split())


# -- errors ------------------------------------------------------------------------------------


def errors_page() -> str:
    """Every error class with a code of its own, by package."""
    from littoral.twin import statuses

    list(_modules())
    page = (
        "# Errors\n\nWhatever a user, a device or a peer can cause has a stable code. Programs "
        "branch on it; the sentence is not API. Codes with a colon, and some others, are Eclipse "
        "Ditto's own for the same refusal. Over HTTP the body is `{status, error, message, "
        "description}`, where `error` is the code.\n"
    )
    for package in FLOORS:
        rows = [
            (
                f"`{cls.code}`",
                str(statuses.STATUS_OF_CODE.get(cls.code) or statuses.STATUS[cls.kind]),
                cls.kind.value,
                "yes" if cls.retryable else "",
                _first_paragraph(cls.__doc__),
            )
            for cls in sorted(_errors(LittoralError), key=lambda c: (c.code, c.__name__))
            if cls.__module__.split(".")[1] == package
        ]
        if rows:
            page += f"\n## {package}\n\n"
            page += _table(("code", "HTTP", "kind", "retry", "when"), rows)
    return page


def _errors(base: type[LittoralError]) -> set[type[LittoralError]]:
    found = {base}
    for cls in base.__subclasses__():
        if cls.__module__.startswith("littoral."):
            found |= _errors(cls)
    return found


# -- limits ------------------------------------------------------------------------------------


def limits_page() -> str:
    """Every `*_MAX` of the code, by package."""
    page = (
        "# Limits\n\nEvery queue, buffer, page, retry and recursion has a named bound. "
        "Crossing one is a clear error to whoever caused it, or back-pressure; never a growing "
        "heap. The most important ones stand in ARCHITECTURE.md too.\n"
    )
    found = list(limits())
    for package in FLOORS:
        rows = [
            (f"`{name}`", f"`{module}`", _amount(name, value), text)
            for module, name, value, text in found
            if module.split(".")[0] == package
        ]
        if rows:
            page += f"\n## {package}\n\n"
            page += _table(("limit", "module", "value", "meaning"), rows)
    return page


def limits() -> Iterator[tuple[str, str, object, str]]:
    """Module, name, value and what the code says about it, for every limit."""
    for file in sorted(SOURCE.rglob("*.py")):
        module = ".".join(file.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
        for name, text in _constants(file):
            if name.endswith("_MAX"):
                value = getattr(importlib.import_module(f"littoral.{module}"), name)
                yield module, name, value, text


def _constants(file: Path) -> Iterator[tuple[str, str]]:
    """Names assigned at the top of a module, with the docstring or comment that explains each."""
    source = file.read_text()
    lines = source.splitlines()
    body = ast.parse(source).body
    for number, node in enumerate(body):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                pass
            case _:
                continue
        after = body[number + 1] if number + 1 < len(body) else None
        match after:
            case ast.Expr(value=ast.Constant(value=str(text))):
                yield name, " ".join(text.split())
            case _:
                yield name, _comment(lines, node)


def _comment(lines: list[str], node: ast.stmt) -> str:
    assert node.end_lineno is not None
    _, hash_, beside = lines[node.end_lineno - 1].partition("#")
    if hash_:
        return beside.strip()
    above = lines[node.lineno - 2].strip() if node.lineno > 1 else ""
    return above.lstrip("# ") if above.startswith("#") else ""


def _amount(name: str, value: object) -> str:
    if not isinstance(value, int | float):
        return str(value)
    words = name.split("_")
    if "BYTES" in words:
        for size, unit in ((1 << 20, "MiB"), (1 << 10, "KiB")):
            if value >= size and value % size == 0:
                return f"{value // size:,.0f} {unit}"
        return f"{value:,} B"
    seconds = value / 1000 if "MS" in words else value if "S" in words else None
    if seconds is not None:
        for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
            if seconds >= 2 * size and seconds % size == 0:
                return f"{seconds / size:,.0f} {unit}"
        return f"{seconds:g} s"
    return f"{value:,}" if abs(value) < 10**12 else f"{value:.3g}"


# -- settings ----------------------------------------------------------------------------------


def settings_page() -> str:
    """Every setting of a node."""
    from littoral.app.settings import PREFIX
    from littoral.node import config

    rows = []
    for name, default, kind, text in _fields(config.NodeConfig, Path(config.__file__)):
        shown = ",".join(map(str, default)) if isinstance(default, tuple) else str(default)
        variable = PREFIX + name.upper().replace(".", "__")
        rows.append((f"`{name}`", f"`{variable}`", kind, f"`{shown}`" if shown else "", text))
    return (
        "# Settings of a node\n\n`littoral up` and `littoral edge` take them from a TOML file "
        "(`--config FILE`; a dot is a section), then from the environment, then from options; the "
        "later wins. `littoral config up` and `littoral config edge` show what holds and where "
        "each value comes from. Lists are separated by commas in the environment.\n\n"
        + _table(("setting", "variable", "type", "default", "meaning"), rows)
    )


def _fields(
    struct: type[msgspec.Struct], file: Path, prefix: str = ""
) -> Iterator[tuple[str, object, str, str]]:
    texts = _field_docs(file)[struct.__name__]
    for field in msgspec.structs.fields(struct):
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            yield from _fields(field.type, file, f"{prefix}{field.name}.")
            continue
        kind = str(getattr(field.type, "__name__", field.type))
        if kind == "Literal":
            kind = " or ".join(field.type.__args__)
        yield prefix + field.name, field.default, kind, texts.get(field.name, "")


def _field_docs(file: Path) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.ClassDef):
            texts = found.setdefault(node.name, {})
            for one, after in zip(node.body, node.body[1:], strict=False):
                match one, after:
                    case (
                        ast.AnnAssign(target=ast.Name(id=name)),
                        ast.Expr(value=ast.Constant(value=str(text))),
                    ):
                        texts[name] = " ".join(text.split())
    return found


# -- command line ------------------------------------------------------------------------------


def cli_page() -> str:
    """Every command with its arguments and options."""
    import typer

    from littoral.app.cli import NODE_COMMANDS, application

    root = typer.main.get_command(application())
    page = (
        "# Command line\n\n`littoral COMMAND`; data goes to standard output, progress and errors to "
        "standard error. Exit codes: 0 ok, 1 failed, 2 usage, 3 not converged. `NO_COLOR` is "
        "honoured. Commands that talk to a node take `--url`, `--user` and `--password` before or "
        "after their name, or `LITTORAL_URL`, `LITTORAL_USER` and `LITTORAL_PASSWORD`.\n"
    )
    for path, command in _commands(root, ()):
        page += f"\n## littoral {' '.join(path)}\n\n"
        page += " ".join((command.help or "").split()) + "\n"
        page += _node_options(path[0]) if path[0] in NODE_COMMANDS else _options(command)
    return page


def _commands(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    children = getattr(command, "commands", None)
    if children is None:
        yield path, command
        return
    for name, child in children.items():
        yield from _commands(child, (*path, name))


def _options(command: Any) -> str:
    rows = []
    for one in command.params:
        if one.name in ("url", "user", "password", "help"):
            continue
        is_argument = one.param_type_name == "argument"
        name = (one.metavar or one.name.upper()).strip("{}") if is_argument else ", ".join(one.opts)
        default = one.default
        shown = "required" if one.required else ""
        if default not in (None, False, "", []):
            shown = f"`{getattr(default, 'value', default)}`"
        rows.append((f"`{name}`", shown, one.help or ""))
    return "\n" + _table(("argument", "default", "meaning"), rows) if rows else ""


def _node_options(command: str) -> str:
    from littoral.app.nodes import parser_of

    rows = [
        (f"`{' '.join((action.option_strings[0], action.metavar or '')).strip()}`", action.help)
        for action in parser_of(command)._actions
        if action.help
        and action.help != argparse.SUPPRESS
        and action.dest not in ("help", "version")
    ]
    return "\n" + _table(("option", "meaning"), rows)


# -- changelog ---------------------------------------------------------------------------------

SORTS = ("added", "changed", "fixed", "removed", "security")


def changelog() -> str:
    """What the next release brings, from the fragments."""
    page = (
        "# Changelog\n\n<!-- Written by docs/generate.py from changes/: add a fragment there. -->\n\n"
        f"## {littoral.__version__} (not released yet)\n"
    )
    for sort in SORTS:
        sentences = [
            line.strip()
            for file in sorted((DOCS.parent / "changes").glob(f"*.{sort}.md"))
            for line in file.read_text().splitlines()
            if line.strip()
        ]
        if sentences:
            page += f"\n### {sort.capitalize()}\n\n" + "".join(f"- {s}\n" for s in sentences)
    return page


def main() -> int:
    """Write all pages; tell which changed."""
    REFERENCE.mkdir(exist_ok=True)
    pages = {REFERENCE / name: text for name, text in documents().items()}
    pages[DOCS.parent / "CHANGELOG.md"] = changelog()
    # Beside this file; tests load it by its path, without a package.
    sys.path.insert(0, str(DOCS))
    import unasync

    blocking = SOURCE / "client" / "sync"
    pages |= {blocking / name: text for name, text in unasync.modules().items()}
    for file, text in pages.items():
        if not file.exists() or file.read_text() != text:
            file.write_text(text)
            print(f"{file.relative_to(DOCS.parent)} written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
