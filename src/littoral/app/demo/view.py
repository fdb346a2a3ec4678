"""What the audience sees: one row per site, what happens now, and the verdict at the end."""

from collections import deque
from dataclasses import dataclass, field

from rich import box
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from littoral.app.demo.model import FleetStatus, Verdict

NOTES_SHOWN = 9
COLUMNS = (
    "node", "link", "session", "flow", "fresh", "backlog", "autonomy", "msgs/s", "devices",
    "acknowledged", "reaction p50 / p99",
)  # fmt: skip
NARROW_COLUMNS = (
    "node", "link", "flow", "fresh", "backlog", "devices", "acknowledged", "reaction p50 / p99",
)  # fmt: skip
"""What the story needs: it fits 80 columns without a word cut short."""
WIDE = 114
"""Columns of a terminal from which on everything is shown."""


@dataclass(slots=True)
class SiteView:
    """One site as its own node and the cloud tell it, and its devices as the fleet does."""

    name: str
    alive: bool = False
    link: bool | None = None
    session: bool | None = None
    flow: bool | None = None
    fresh_ms: float | None = None
    backlog: int | None = None
    autonomy_h: float | None = None
    per_s: float = 0.0
    fleet: FleetStatus | None = None


@dataclass(slots=True)
class Scene:
    """Everything on the screen."""

    sites: list[SiteView]
    cloud_alive: bool = False
    phase: str = "starting"
    phase_left_s: float | None = None
    notes: deque[str] = field(default_factory=lambda: deque(maxlen=NOTES_SHOWN))


def render(scene: Scene, width: int) -> RenderableType:
    """The whole screen, for a terminal of ``width`` columns."""
    left = "" if scene.phase_left_s is None else f", {max(0.0, scene.phase_left_s):.0f} s to go"
    title = Text.assemble(
        ("littoral demo  ", "bold"),
        (scene.phase, "bold cyan"),
        (left, "dim"),
        ("   cloud ", ""),
        _state(on=scene.cloud_alive),
    )
    notes = Text("\n".join(scene.notes), style="dim")
    return Group(
        title,
        "",
        _table(scene, width),
        "",
        Panel(notes, title="what happened", border_style="dim"),
    )


def _table(scene: Scene, width: int) -> Table:
    shown = COLUMNS if width >= WIDE else NARROW_COLUMNS
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for place, column in enumerate(("site", *shown)):
        heading = column if width >= WIDE else _SHORT.get(column, column)
        table.add_column(heading, justify="right" if place else "left", no_wrap=True)
    for site in scene.sites:
        cells = dict(zip(COLUMNS, _cells(site), strict=True))
        table.add_row(Text(site.name, style="bold"), *(cells[column] for column in shown))
    return table


_SHORT = {"acknowledged": "acked", "reaction p50 / p99": "p50 / p99"}


def _cells(site: SiteView) -> list[Text | str]:
    fleet = site.fleet
    return [
        _state(on=site.alive),
        _state(on=site.link),
        _state(on=site.session),
        _state(on=site.flow),
        "-" if site.fresh_ms is None else _duration(site.fresh_ms / 1000),
        "-" if site.backlog is None else f"{site.backlog:,}",
        "-" if site.autonomy_h is None else f"{site.autonomy_h:,.0f} h",
        f"{site.per_s:,.0f}",
        "-" if fleet is None else f"{fleet.connected}/{fleet.devices}",
        "-" if fleet is None else f"{fleet.acknowledged:,}",
        _reaction(fleet),
    ]


def _state(*, on: bool | None) -> Text:
    if on is None:
        return Text("-", style="dim")
    return Text("up", style="green") if on else Text("down", style="bold red")


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:,.1f} s"


def _reaction(fleet: FleetStatus | None) -> str:
    if fleet is None or fleet.reaction_p50_ms is None or fleet.reaction_p99_ms is None:
        return "-"
    p50, p99 = (
        f"{ms:.1f}" if ms < 100 else f"{ms:,.0f}"
        for ms in (fleet.reaction_p50_ms, fleet.reaction_p99_ms)
    )
    return f"{p50} / {p99} ms"


def show_verdict(verdict: Verdict, console: Console) -> None:
    """The verdict for people."""
    style = "bold green" if verdict.ok else "bold red"
    sentence = (
        "nothing that was acknowledged was lost, nothing was stored twice"
        if verdict.ok
        else "something acknowledged was lost or stored twice"
    )
    console.print(Text(sentence, style=style))
    table = Table(show_header=False)
    table.add_column("figure")
    table.add_column("value", justify="right")
    rows: list[tuple[str, str]] = [
        ("acknowledged by devices", f"{verdict.acknowledged:,}"),
        ("of these in the cloud", f"{verdict.in_cloud:,}"),
        ("lost", f"{verdict.lost:,}"),
        ("stored twice", f"{verdict.duplicated:,}"),
        ("out of order", f"{verdict.out_of_order:,}"),
        (
            "messages from the cloud to robots, answered",
            f"{verdict.cloud_messages_answered} of {verdict.cloud_messages}",
        ),
        ("resent by devices", f"{verdict.resent:,}"),
        ("messages per second", f"{verdict.messages_per_s:,.0f}"),
        ("reaction during the outage, p50", _ms(verdict.reaction_ms.p50)),
        ("reaction during the outage, p99", _ms(verdict.reaction_ms.p99)),
        ("catch-up after the outage", _s(verdict.catch_up_s)),
        ("site ready after SIGKILL", _s(verdict.site_restart_s)),
        ("cloud ready after SIGKILL", _s(verdict.cloud_restart_s)),
    ]
    for name, value in rows:
        table.add_row(name, value)
    console.print(table)
    for problem in verdict.problems:
        console.print(problem, style="yellow", highlight=False)


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} ms"


def _s(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"
