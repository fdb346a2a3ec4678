"""The commands that talk to a node: those of everyday here, the others in modules of their own."""

import json
import sys
from collections.abc import Callable, Iterator
from typing import Annotated

import typer

from littoral.cli.bulk import bulk
from littoral.cli.explaining import why
from littoral.cli.identities import apikey_create, seconds_of, user_set
from littoral.cli.kinds import Kind, parse_kind
from littoral.cli.output import Form, note, show, show_one
from littoral.cli.records import history, incidents, mailbox_cancel, mailbox_list
from littoral.cli.target import Target, on_node, remember

TOKEN_HOURS_MAX = 168
TIMEOUT_S_MAX = 60

Output = Annotated[Form, typer.Option("--output", "-o", help="How to print it.")]
KindOf = Annotated[
    Kind,
    typer.Argument(parser=parse_kind, metavar="KIND", help="Singular or plural."),
]


def build() -> typer.Typer:
    """The command line, without the commands that run nodes."""
    cli = typer.Typer(
        name="littoral",
        help="Edge-to-cloud platform: durable twins, device doors, sites that work alone.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    cli.callback()(remember)
    talking: tuple[tuple[str, tuple[Callable[..., None], ...]], ...] = (
        ("Objects of a node", (get, describe, apply, delete, bulk, watch, history, send, why)),
        ("Operation", (status, incidents, doctor)),
    )
    for panel, commands in talking:
        for command in commands:
            cli.command(rich_help_panel=panel)(on_node(command))
    groups: tuple[tuple[str, str, str, tuple[tuple[str, Callable[..., None]], ...]], ...] = (
        (
            "mailbox",
            "Messages that wait for a device.",
            "Objects of a node",
            (("list", mailbox_list), ("cancel", mailbox_cancel)),
        ),
        ("user", "People who talk to a node.", "Operation", (("set", user_set),)),
        ("apikey", "Keys for programs.", "Operation", (("create", apikey_create),)),
        (
            "token",
            "One-time tokens with which sites enrol.",
            "Operation",
            (("create", token_create),),
        ),
    )
    for name, text, panel, below in groups:
        group = typer.Typer(help=text, no_args_is_help=True)
        group.callback(help=text)(_group)
        for verb, command in below:
            group.command(verb)(on_node(command))
        cli.add_typer(group, name=name, rich_help_panel=panel)
    return cli


def _group() -> None:
    """Its callback makes a group of one command a group."""


def get(
    target: Target,
    kind: KindOf,
    names: Annotated[list[str] | None, typer.Argument(help="Only these.")] = None,
    output: Output = Form.TABLE,
    tenant: Annotated[str | None, typer.Option(help="Devices of this tenant only.")] = None,
    namespace: Annotated[
        list[str] | None,
        typer.Option(help="Things or policies of this namespace only; repeat it."),
    ] = None,
    query: Annotated[
        str | None,
        typer.Option(
            "--filter", "-q", help="Things for which this RQL holds: 'gt(attributes/n,3)'."
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 1000,
) -> None:
    """List objects of a kind, or get those named.

    Kinds are things, policies, devices, sites, tenants, users and apikeys. A device is named
    TENANT/DEVICE.
    """
    from littoral.cli import objects

    with target.client() as client:
        found = objects.found(
            client, kind, names or [], tenant=tenant, namespaces=namespace or [], query=query
        )
        columns, name = objects.COLUMNS[kind]
        missing = dict.fromkeys(names or ())
        rows = _first(objects.crossing_off(missing, kind, found), limit)
        show(rows, form=output, columns=columns, name=name)
    if missing:
        note(f"littoral: not there, or not yours to see: {', '.join(missing)}.")
        raise typer.Exit(1)


def _first(rows: Iterator[dict[str, object]], limit: int) -> Iterator[dict[str, object]]:
    for number, row in enumerate(rows):
        if number == limit:
            note(f"there are more than {limit:,}: raise --limit", style="yellow")
            return
        yield row


def describe(
    target: Target,
    kind: KindOf,
    name: Annotated[str, typer.Argument(help="Its id; a device is TENANT/DEVICE.")],
    output: Output = Form.YAML,
) -> None:
    """Show one object whole."""
    from littoral.cli import objects

    with target.client() as client:
        value = objects.whole(client, kind, name)
    if value is None:
        note(f"littoral: there is no {kind} {name}. `littoral get {kind.plural}` lists them.")
        raise typer.Exit(1)
    show_one(value, form=output)


def apply(
    target: Target,
    file: Annotated[
        list[str],
        typer.Option(
            "--file", "-f", help="YAML or JSON; a folder of such; - for stdin. Repeat it."
        ),
    ],
    output: Annotated[
        Form, typer.Option("--output", "-o", help="A line for each object, and how.")
    ] = Form.TABLE,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Errors and the sum only.")] = False,
) -> None:
    """Declare objects; applying again changes nothing.

    Manifests have apiVersion: littoral/v1, kind (Tenant, Device, Thing, Policy), metadata and spec,
    several in a file with --- between them. One that is refused does not stop those after it; the
    exit code is 1 then.
    """
    from littoral.cli.applying import apply_files

    with target.client() as client:
        refused = apply_files(client, file, form=output, quiet=quiet)
    if refused:
        raise typer.Exit(1)


def delete(
    target: Target,
    kind: KindOf,
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="Ids; TENANT/DEVICE.")],
) -> None:
    """Delete objects; it ends at the first that is refused.

    A device's thing stays. A tenant with devices is refused. A deleted API key is revoked.
    """
    from littoral.cli import objects

    with target.client() as client:
        for name in names:
            objects.delete(client, kind, name)
            sys.stdout.write(f"{kind}/{name} deleted\n")


def watch(
    target: Target,
    ids: Annotated[list[str] | None, typer.Argument(help="Things; all of yours if none.")] = None,
    namespace: Annotated[
        list[str] | None, typer.Option(help="Things of this namespace only; repeat it.")
    ] = None,
    query: Annotated[
        str | None, typer.Option("--filter", "-q", help="Changes for which this RQL holds.")
    ] = None,
    output: Output = Form.TABLE,
) -> None:
    """Print changes of things as they are committed, a line each, until Ctrl-C.

    With -o json each line is a JSON document.
    """
    with target.client() as client:
        for change in client.things.watch(ids or (), namespaces=namespace or (), query=query):
            if "_dropped" in change:
                note(f"{change['_dropped']:,} changes dropped: too slow here", style="yellow")
                continue
            _print_change(change, output)


def _print_change(change: dict[str, object], form: Form) -> None:
    match form:
        case Form.TABLE:
            rest = {k: v for k, v in change.items() if k != "thingId"}
            print(f"{change.get('thingId', '?')}  {json.dumps(rest, ensure_ascii=False)}")
        case Form.NAME:
            print(change.get("thingId", "?"))
        case Form.JSON:
            print(json.dumps(change, ensure_ascii=False))
        case Form.YAML:
            print("---")
            show_one(change, form=form)
    sys.stdout.flush()


def send(
    target: Target,
    thing: Annotated[str, typer.Argument(help="The thing's id.")],
    subject: Annotated[str, typer.Argument(help="What the message is about.")],
    payload: Annotated[str, typer.Argument(help="JSON, or any text; - reads stdin.")] = "",
    timeout: Annotated[
        float,
        typer.Option(min=0, max=TIMEOUT_S_MAX, help="Seconds to wait for the answer; 0: none."),
    ] = 10.0,
    feature: Annotated[str | None, typer.Option(help="Send it to this feature.")] = None,
    keep: Annotated[
        int | None,
        typer.Option(
            parser=seconds_of, metavar="TIME", help="Keep it if nobody is there: 30m, 2d."
        ),
    ] = None,
) -> None:
    """Send a message to a thing's inbox and print what its device answers.

    The answer's payload is alone on stdout. The exit code is 1 if the device answers with a status
    of 400 or more, or nobody does.
    """
    content = sys.stdin.buffer.read() if payload == "-" else payload.encode()
    kind = "application/json" if _is_json(content) else "text/plain"
    with target.client() as client:
        reply = client.messages.send(
            thing, subject, content, content_type=kind, timeout_s=timeout, feature=feature,
            keep_s=keep,
        )  # fmt: skip
    note(f"status {reply.status}", style="dim" if reply.status < 400 else "red")
    if reply.payload:
        sys.stdout.buffer.write(reply.payload)
        sys.stdout.buffer.write(b"\n")
    if reply.status >= 400:
        raise typer.Exit(1)


def _is_json(content: bytes) -> bool:
    try:
        json.loads(content)
    except (ValueError, RecursionError):
        return False
    return True


def status(target: Target, output: Output = Form.TABLE) -> None:
    """Show a node: log, fill, links, freshness, backlog, hours of autonomy."""
    from littoral.cli.status import print_status

    with target.client() as client:
        value = client.status()
    if output is Form.TABLE:
        print_status(value)
    else:
        show_one(value if output is not Form.NAME else value["node"]["name"], form=output)


def doctor(
    target: Target,
    data_dir: Annotated[
        str | None, typer.Option(help="Also examine this node's directory on this machine.")
    ] = None,
) -> None:
    """Look for what is wrong with a node or this machine, and say what to do."""
    from littoral.cli.doctor import examine

    if not examine(target.client, url=target.url, data_dir=data_dir):
        raise typer.Exit(1)


def token_create(
    target: Target,
    site: Annotated[str, typer.Argument(help="The site's name.")],
    tenant: Annotated[list[str], typer.Option(help="A tenant that lives there; repeat it.")],
    hours: Annotated[
        float, typer.Option(min=0.01, max=TOKEN_HOURS_MAX, help="How long it may be used.")
    ] = 1.0,
    output: Output = Form.TABLE,
) -> None:
    """Make a one-time token for a site to enrol; it is shown this once."""
    import msgspec

    with target.client() as client:
        issued = client.administration.issue_token(site, tenant, ttl_s=int(hours * 3600))
    match output:
        case Form.NAME:
            sys.stdout.write(issued.token + "\n")
        case Form.TABLE:
            note(f"for site {issued.site}, once, until {issued.expires}; run there:", style="dim")
            sys.stdout.write(f"littoral edge --token {issued.token}\n")
        case _:
            show_one(msgspec.to_builtins(issued), form=output)
