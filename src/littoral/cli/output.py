"""How answers look: a table for people, JSON and YAML for programs, names for shells."""

import json
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

TABLE_WIDTH_IN_PIPES = 160
"""Nobody knows how wide a pipe's reader is; tables there are not folded to 80."""


class Form(StrEnum):
    """The values of ``-o``."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


Row = Mapping[str, object]


def console() -> "Console":
    """Standard output for people; wide enough when it is no terminal."""
    from rich.console import Console

    if sys.stdout.isatty():
        return Console(highlight=False)
    return Console(
        width=shutil.get_terminal_size((TABLE_WIDTH_IN_PIPES, 0)).columns, highlight=False
    )


def errors() -> "Console":
    """Standard error for people."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


def note(sentence: str, *, style: str = "") -> None:
    """Say something beside the data."""
    errors().print(sentence, style=style, markup=False)


def show(
    rows: Iterable[Row],
    *,
    form: Form,
    columns: Sequence[str],
    name: str | Callable[[Row], str],
) -> int:
    """Print a list of objects; return how many.

    Args:
        rows: objects, shown whole as JSON and YAML.
        form: as what.
        columns: members that the table shows, in order.
        name: the member that names an object, or what makes its name.
    """
    if form is Form.NAME:
        count = 0
        for row in rows:
            sys.stdout.write(f"{row[name] if isinstance(name, str) else name(row)}\n")
            count += 1
        return count
    found = list(rows)
    match form:
        case Form.JSON:
            sys.stdout.write(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
        case Form.YAML:
            _yaml(found)
        case _ if found:
            _table(found, columns)
        case _:
            note("nothing found", style="dim")
    return len(found)


def show_one(value: object, *, form: Form) -> None:
    """Print one object whole; a table of one object is YAML, which people read more easily."""
    if form is Form.JSON:
        sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
    elif form is Form.NAME and isinstance(value, dict):
        names = (value.get(k) for k in ("thingId", "policyId", "name", "id"))
        sys.stdout.write(f"{next((n for n in names if n), '')}\n")
    elif isinstance(value, str):
        sys.stdout.write(value + "\n")
    else:
        _yaml([value])


def _yaml(values: Sequence[object]) -> None:
    import yaml

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    yaml.dump_all(
        values, sys.stdout, dumper, sort_keys=False, allow_unicode=True, default_flow_style=False
    )


def _table(rows: Sequence[Row], columns: Sequence[str]) -> None:
    table = plain_table([_heading(column) for column in columns])
    for row in rows:
        table.add_row(*(_cell(row.get(column)) for column in columns))
    print_table(table)


def print_table(table: "Table") -> None:
    """Print it, without spaces after the last word of a line if a program reads it."""
    out = console()
    if out.is_terminal:
        out.print(table)
        return
    with out.capture() as captured:
        out.print(table)
    for line in captured.get().splitlines():
        print(line.rstrip())


def plain_table(headings: Sequence[str], *, numbers: Iterable[str] = ()) -> "Table":
    """A table without lines, as kubectl draws them; ``numbers`` are right-aligned."""
    from rich.table import Table

    right = frozenset(numbers)
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 3, 0, 0))
    for heading in headings:
        table.add_column(heading, overflow="fold", justify="right" if heading in right else "left")
    return table


def _heading(member: str) -> str:
    words = "".join(f" {c}" if c.isupper() else c for c in member.strip("_"))
    return words.replace("_", " ").upper()


def _cell(value: object) -> str:
    from rich.markup import escape

    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict | list | tuple):
        return escape(", ".join(str(v) for v in value)) or "-"
    if isinstance(value, float):
        return f"{value:,.1f}"
    return escape(str(value))


def amount(count: int, noun: str) -> str:
    """``1 thing``, ``2,000 things``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def amount_of_bytes(count: float) -> str:
    """``1.5 MiB``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def duration(seconds: float | None) -> str:
    """``3 d 4 h``, ``12 min``, ``8 s``, ``0.2 s``: two units at the most; ``-`` if unknown."""
    if seconds is None:
        return "-"
    if 0 < seconds < 1:
        return f"{seconds:.1f} s"
    parts = []
    rest = int(seconds)
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count:,} {unit}")
    return " ".join(parts[:2]) or "0 s"
