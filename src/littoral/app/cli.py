"""The whole command line: `littoral.cli` for what talks to a node, and here what runs something."""

from typing import Annotated

import typer

from littoral import __version__
from littoral.cli import Form, build, show, show_one
from littoral.native import VARIANT

NODE_COMMANDS = ("up", "edge")
_RUN = "Run"
_SOME_PASSED_ON = {"ignore_unknown_options": True, "allow_extra_args": True}
_PASSED_ON = {**_SOME_PASSED_ON, "help_option_names": []}
"""Node commands read their options themselves, with `argparse`: it starts in a tenth of the time."""

Json = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, on stdout.")]


def run(arguments: list[str]) -> int:
    """Run one command; return its exit code: 0 ok, 1 failed, 2 usage, 3 not converged.

    Raises:
        LittoralError: the command failed; whoever called prints it.
    """
    try:
        application()(args=arguments, prog_name="littoral")
    except SystemExit as e:
        return e.code if isinstance(e.code, int) else int(e.code is not None)
    return 0


def application() -> typer.Typer:
    """Every command of this installation."""
    cli = build()
    cli.command(rich_help_panel=_RUN, context_settings=_PASSED_ON)(up)
    cli.command(rich_help_panel=_RUN, context_settings=_PASSED_ON)(edge)
    cli.command(rich_help_panel=_RUN)(demo)
    bench = typer.Typer(help="Measure this machine.", no_args_is_help=True)
    bench.callback()(_bench)
    bench.command()(ingest)
    cli.add_typer(bench, name="bench", rich_help_panel=_RUN)
    cli.command(rich_help_panel="This installation", context_settings=_SOME_PASSED_ON)(config)
    cli.command(rich_help_panel="This installation")(version)
    return cli


def up(context: typer.Context) -> None:
    """Run a cloud node: doors for devices and people, and a listener for sites."""
    _node("up", context.args)


def edge(context: typer.Context) -> None:
    """Run a site node: the same doors, and a link to a cloud."""
    _node("edge", context.args)


def _node(command: str, arguments: list[str]) -> None:
    from littoral.app.nodes import run_node

    raise typer.Exit(run_node(command, arguments))


def demo(
    headless: Annotated[
        bool, typer.Option("--headless", help="Print lines instead of the live view.")
    ] = False,
    json: Json = False,
    duration: Annotated[
        float, typer.Option(min=10, metavar="S", help="Seconds of work, the outage among them.")
    ] = 80.0,
    outage: Annotated[
        float, typer.Option(min=1, metavar="S", help="Seconds that the link of site one is cut.")
    ] = 20.0,
    devices: Annotated[int, typer.Option(min=2, metavar="N", help="Devices of the fleet.")] = 200,
    keep_dir: Annotated[
        str | None, typer.Option(metavar="DIR", help="Leave logs and data here afterwards.")
    ] = None,
) -> None:
    """Play it through: a cloud, two sites, a fleet, a cut cable, killed nodes, and a verdict.

    The exit code is 1 if anything that a device saw acknowledged was lost or stored twice.
    """
    from littoral.app.demo import DemoOptions, run_demo

    options = DemoOptions(
        devices=devices,
        duration_s=duration,
        outage_s=outage,
        headless=headless,
        json=json,
        keep_dir=keep_dir,
    )
    raise typer.Exit(run_demo(options))


def _bench() -> None:
    """Measure this machine."""


def ingest(
    devices: Annotated[int, typer.Option(min=1, metavar="N", help="Connections.")] = 1000,
    rounds: Annotated[
        int, typer.Option(min=1, metavar="N", help="Rounds; the medians are shown.")
    ] = 3,
    window: Annotated[
        float, typer.Option(min=0.5, metavar="S", help="Seconds measured per figure.")
    ] = 3.0,
    payload: Annotated[
        int, typer.Option(min=40, max=60_000, metavar="BYTES", help="Size of a message's JSON.")
    ] = 150,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SERVER", help="littoral, mosquitto, nats, nats-sync or null; repeat it."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Durable twin updates a second, beside Mosquitto and NATS in the same run."""
    from littoral.app.bench import IngestOptions, run_bench
    from littoral.app.bench.ingest import TARGETS

    for name in only or ():
        if name not in TARGETS:
            raise typer.BadParameter(f"there is no server {name!r}. Known: {', '.join(TARGETS)}.")
    options = IngestOptions(
        devices=devices,
        rounds=rounds,
        window_s=window,
        payload_bytes=payload,
        only=tuple(only or ()),
        json=json,
    )
    raise typer.Exit(run_bench(options))


def config(
    context: typer.Context,
    file: Annotated[
        str | None, typer.Option("--config", metavar="FILE", help="Settings in TOML.")
    ] = None,
    output: Annotated[Form, typer.Option("--output", "-o", help="How to print it.")] = Form.TABLE,
) -> None:
    """Show every setting's effective value, and where it comes from.

    Write littoral config edge for a site; the other options of up and edge hold here too. A file is
    weaker than the environment (LITTORAL_SECTION__KEY), and that is weaker than an option.
    """
    from littoral.app.nodes import parser_of, settings_of

    words = list(context.args)
    command = next((word for word in words if word in NODE_COMMANDS), "up")
    if command in words:
        words.remove(command)
    if file is not None:
        words += ["--config", file]
    parser = parser_of(command)
    parser.prog = "littoral config"
    _, settings = settings_of(command, parser.parse_args(words))
    if output in (Form.JSON, Form.YAML):
        show_one({s.name: {"value": s.value, "source": s.source} for s in settings}, form=output)
        return
    rows = [{"setting": s.name, "value": s.value, "source": s.source} for s in settings]
    show(rows, form=output, columns=("setting", "value", "source"), name="setting")


def version() -> None:
    """Print the version, and whether the hot path is compiled (as `main` does, faster)."""
    print(f"littoral {__version__} (hot path: {VARIANT})")
