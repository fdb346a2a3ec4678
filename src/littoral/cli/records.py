"""``history``, ``incidents``, ``mailbox``: what happened, and what waits for a device."""

import json
import sys
from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from littoral.cli.output import Form, note, show
from littoral.cli.target import Target

if TYPE_CHECKING:
    from littoral.client import Client, Signal

CHANGES = ("revision", "timestamp", "action", "path", "value")
INCIDENTS = ("at", "kind", "node", "thingId", "path", "details")
MAILS = ("messageId", "subject", "featureId", "sender", "kept", "expires", "offered")


def history(
    target: Target,
    thing: Annotated[str, typer.Argument(help="The thing's id; a policy's with --policy.")],
    first: Annotated[
        int | None, typer.Option("--from", help="First revision; -10: the last ten.")
    ] = None,
    last: Annotated[int | None, typer.Option("--to", help="Last revision.")] = None,
    since: Annotated[str | None, typer.Option(help="Not before: 2026-11-22T18:00:00Z.")] = None,
    until: Annotated[str | None, typer.Option(help="Not after.")] = None,
    query: Annotated[
        str | None, typer.Option("--filter", "-q", help="Changes for which this RQL holds.")
    ] = None,
    policy: Annotated[bool, typer.Option("--policy", help="The id is a policy's.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 1000,
    output: Annotated[Form, typer.Option("--output", "-o", help="How to print it.")] = Form.TABLE,
) -> None:
    """Show the changes of a thing, oldest first, as you may see them."""
    with target.client() as client, client.session() as session:
        # A node takes -10 for ten before the latest one, which are eleven.
        begin = first if first is None or first >= 0 else first + 1
        changes = session.history(
            thing, first=begin, last=last, since=since, until=until, query=query,
            group="policies" if policy else "things",
        )  # fmt: skip
        rows = _rows(changes, as_text=output is Form.TABLE)
        show(_first(rows, limit), form=output, columns=CHANGES, name="revision")


def _rows(changes: "Iterator[Signal]", *, as_text: bool) -> Iterator[dict[str, object]]:
    for one in changes:
        yield {
            "revision": one.revision,
            "timestamp": one.timestamp,
            "action": one.action,
            "path": one.path,
            "value": json.dumps(one.value, ensure_ascii=False) if as_text else one.value,
        }


def _first(rows: Iterator[dict[str, object]], limit: int) -> Iterator[dict[str, object]]:
    yield from islice(rows, limit)
    if next(rows, None) is not None:
        note(f"there are more than {limit:,}: raise --limit, or give --from", style="yellow")


def incidents(
    target: Target,
    thing: Annotated[str, typer.Argument(help="Only of this thing.")] = "",
    kind: Annotated[str, typer.Option(help="conflict, loss, gap or rollback.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="The newest so many.")] = 100,
    output: Annotated[Form, typer.Option("--output", "-o", help="How to print it.")] = Form.TABLE,
) -> None:
    """Show writes that lost to others, records that were dropped, and roll-backs; oldest first."""
    import msgspec

    with target.client() as client:
        found = deque(client.administration.incidents(kind, thing=thing), maxlen=limit)
    rows: list[dict[str, object]] = [msgspec.to_builtins(one) for one in found]
    if output is Form.TABLE:
        for row in rows:
            row["details"] = json.dumps(row["details"], ensure_ascii=False)
    show(rows, form=output, columns=INCIDENTS, name="seq")


def mailbox_list(
    target: Target,
    thing: Annotated[str, typer.Argument(help="The thing's id.")],
    output: Annotated[Form, typer.Option("--output", "-o", help="How to print it.")] = Form.TABLE,
) -> None:
    """List messages that wait for a thing's device."""
    with target.client() as client:
        rows = list(_mails(client, thing))
    show(rows, form=output, columns=MAILS, name="messageId")


def _mails(client: "Client", thing: str) -> Iterator[dict[str, object]]:
    import msgspec

    for mail in client.messages.waiting(thing):
        row = msgspec.to_builtins(mail)
        row.pop("value")  # a list does not have it
        yield row


def mailbox_cancel(
    target: Target,
    thing: Annotated[str, typer.Argument(help="The thing's id.")],
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID", help="Messages.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that are yours.")] = False,
) -> None:
    """Take back messages that wait for a thing's device."""
    if bool(ids) == everything:
        raise typer.BadParameter("name messages, or give --all.")
    with target.client() as client:
        if everything:
            for one in client.messages.cancel_all(thing):
                sys.stdout.write(f"message/{one} cancelled\n")
            return
        for one in ids or ():
            client.messages.cancel(thing, one)
            sys.stdout.write(f"message/{one} cancelled\n")
