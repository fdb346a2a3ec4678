"""``littoral bulk``: change or delete every thing that a filter finds, after a dry run."""

import sys
from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from littoral.cli.output import Form, amount, errors, note, plain_table, print_table, show_one
from littoral.cli.target import Target

if TYPE_CHECKING:
    from littoral.client import BulkReport, Client

NOT_CONVERGED = 3
"""What was asked for is not so yet."""


SAMPLE_SHOWN = 5
"""Changed things that a table names; JSON and names have all that the node tells."""


class Action(StrEnum):
    """What is done to each thing."""

    MERGE = "merge"
    MODIFY = "modify"
    DELETE = "delete"


def bulk(
    target: Target,
    action: Annotated[Action, typer.Argument(help="What is done to each thing.")],
    query: Annotated[
        str,
        typer.Option("--filter", "-q", help="RQL; 'exists(thingId)' finds all."),
    ],
    path: Annotated[str, typer.Option(help="Where in each thing.")] = "/",
    value: Annotated[
        str | None, typer.Option(help="What is merged or written: JSON or YAML.")
    ] = None,
    file: Annotated[
        str | None, typer.Option("--file", "-f", help="A file with the value; - is stdin.")
    ] = None,
    namespace: Annotated[
        list[str] | None, typer.Option(help="Things of this namespace only; repeat it.")
    ] = None,
    condition: Annotated[
        str | None, typer.Option(help="RQL that must hold for each as it is written.")
    ] = None,
    stop_at: Annotated[int, typer.Option(min=0, help="End after so many refusals; 0: go on.")] = 0,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do it, without a dry run.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only report what it would do.")] = (
        False
    ),
    output: Annotated[
        Form, typer.Option("--output", "-o", help="How to print the report.")
    ] = Form.TABLE,
) -> None:
    """Change or delete every thing that a filter finds.

    Without --yes there is a dry run, its report, and a question; where nobody can be asked, nothing
    is written and the exit code is 3. It is 1 if things were refused. A bulk that is cut off has
    done a beginning: do it again.
    """
    if yes and dry_run:
        raise typer.BadParameter("--yes and --dry-run contradict each other.")
    if action is Action.DELETE:
        if value is not None or file is not None:
            raise typer.BadParameter("delete takes no value.")
    elif (value is None) == (file is None):
        raise typer.BadParameter(f"{action} takes a value: --value or -f.")
    asked: dict[str, Any] = {
        "action": str(action),
        "query": query,
        "path": path,
        "namespaces": namespace or (),
        "condition": condition,
        "stop_at_refusals": stop_at,
    }
    if action is not Action.DELETE:
        asked["value"] = _value(value, file)
    with target.client() as client:
        report = _run(client, asked, dry_run=not yes)
        asks = not (yes or dry_run) and report.changed > 0
        if asks and output is not Form.TABLE and sys.stdin.isatty():
            note(f"dry run: {_counts(report)}")  # the data is the report of what is done then
        else:
            _show(report, output)
        if asks:
            if not _agreed(report, _verb(action, path)):
                raise typer.Exit(NOT_CONVERGED)
            report = _run(client, asked, dry_run=False)
            _show(report, output)
    if report.refused or report.stopped:
        raise typer.Exit(1)


def _value(text: str | None, file: str | None) -> object:
    from littoral.cli.manifests import read_value

    return read_value(text, "--value") if text is not None else read_value(None, file or "-")


def _verb(action: Action, path: str) -> str:
    return "delete" if action is Action.DELETE and path == "/" else "change"


def _agreed(report: "BulkReport", verb: str) -> bool:
    if not sys.stdin.isatty():
        note(
            f"nothing was written: --yes would {verb} {amount(report.changed, 'thing')}.",
            style="yellow",
        )
        return False
    return typer.confirm(f"{verb} {report.changed:,} things?", err=True)


def _run(client: "Client", asked: Mapping[str, Any], *, dry_run: bool) -> "BulkReport":
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    terminal = errors()
    doing = "looking" if dry_run else f"{asked['action']}"
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    live = Progress(*columns, console=terminal, transient=True, disable=not terminal.is_terminal)
    with live:
        task = live.add_task(doing)

        def told(so_far: "BulkReport") -> None:
            live.update(task, description=f"{doing}: {_counts(so_far)}")
            if not terminal.is_terminal:
                terminal.print(f"{doing}: {_counts(so_far)}", markup=False)

        return client.beyond.bulk(**asked, dry_run=dry_run, on_progress=told)


def _counts(report: "BulkReport") -> str:
    return (
        f"{report.matched:,} found, {report.changed:,} changed, "
        f"{report.unchanged:,} unchanged, {report.refused:,} refused"
    )


def _show(report: "BulkReport", form: Form) -> None:
    import msgspec

    match form:
        case Form.NAME:
            for one in report.sample:
                sys.stdout.write(f"{one}\n")
        case Form.TABLE:
            print(f"{'dry run: ' if report.dry_run else ''}{_counts(report)}")
            if report.stopped:
                print(f"stopped {report.stopped}")
            for code, count in sorted(report.refused_by_code.items()):
                print(f"  {count:,} refused with {code}")
            if shown := report.sample[:SAMPLE_SHOWN]:
                more = ", …" if report.changed > len(shown) else ""
                print(f"changed: {', '.join(shown)}{more}")
            _refusals(report.refusals)
        case _:
            show_one(msgspec.to_builtins(report), form=form)


def _refusals(refusals: list[dict[str, Any]]) -> None:
    from rich.markup import escape

    if not refusals:
        return
    table = plain_table(("REFUSED", "CODE", "WHY"))
    for one in refusals:
        table.add_row(*(escape(str(one.get(k, ""))) for k in ("thingId", "error", "message")))
    print()
    print_table(table)
