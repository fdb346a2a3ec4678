"""``littoral doctor``: one line per check, and what to do about each that fails."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.markup import escape

from littoral.cli.output import amount_of_bytes, console
from littoral.client import ApiError, Client
from littoral.kernel.errors import LittoralError
from littoral.native import VARIANT, hot

FREE_BYTES_MIN = 1 << 30
SKEW_MS_WARN = 5_000
FILL_WARN = 0.8


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    level: str
    """``ok``, ``warn`` or ``fail``."""
    text: str
    advice: str = ""


def examine(client: Callable[[], Client], *, url: str, data_dir: str | None) -> bool:
    """Print all findings; True if none of them is a failure."""
    out = console()
    marks = {"ok": "[green]ok  [/]", "warn": "[yellow]warn[/]", "fail": "[red]fail[/]"}
    healthy = True
    for finding in (_installation(), *_machine(data_dir), *_node(client, url)):
        healthy = healthy and finding.level != "fail"
        out.print(f"{marks[finding.level]} {escape(finding.text)}", soft_wrap=True)
        if finding.advice:
            out.print(f"     {escape(finding.advice)}", style="dim", soft_wrap=True)
    return healthy


def _installation() -> Finding:
    if hot is None:
        return Finding(
            "warn", f"the hot path is {VARIANT}.", "Without it a node takes half as much."
        )
    return Finding("ok", f"the hot path is {VARIANT}.")


def _machine(data_dir: str | None) -> Iterator[Finding]:
    if data_dir is None:
        return
    directory = Path(data_dir)
    if not directory.is_dir():
        yield Finding("fail", f"{directory} is no directory.", "Name the node's --data-dir.")
        return
    free = shutil.disk_usage(directory).free
    if free < FREE_BYTES_MIN:
        yield Finding(
            "warn",
            f"{amount_of_bytes(free)} are free on the disk of {directory}.",
            "A full disk refuses writes: free some space or lower retention.total_mib.",
        )
    else:
        yield Finding("ok", f"{amount_of_bytes(free)} are free on the disk of {directory}.")
    for damaged in sorted(directory.glob("*.damaged-*")):
        yield Finding(
            "warn",
            f"{damaged.name} was moved aside because it was damaged.",
            "Look at the disk; keep the file until you know what was lost, then delete it.",
        )


def _node(client: Callable[[], Client], url: str) -> Iterator[Finding]:
    try:
        with client() as node:
            healthy = node.is_healthy()
            yield Finding("ok", f"a node answers at {url}.")
            status = node.status()
            if not healthy:
                yield Finding("fail", f"the node is not ready: {status['reason']}")
    except ApiError as e:
        advice = "Give an administrator's --user and --password (LITTORAL_USER, LITTORAL_PASSWORD)."
        yield Finding("fail", f"the node refuses: {e.message}", advice)
        return
    except LittoralError as e:
        yield Finding("fail", e.message, e.hint)
        return
    yield from _log(status["log"])
    for name, link in status["links"].items():
        yield from _link(name, link)


def _log(log: Any) -> Iterator[Finding]:
    if log["refused"]:
        yield Finding("fail", f"writes are refused: {log['refused']}", "Free space on the disk.")
    fill = log["bytes_used"] / max(1, log["bytes_max"])
    if fill > FILL_WARN:
        yield Finding(
            "warn",
            f"the log is {100 * fill:.0f} % full.",
            "The least important records are thinned next; see the ledger, or raise the budget.",
        )
    else:
        yield Finding("ok", f"the log is {100 * fill:.0f} % full.")


def _link(name: str, link: Any) -> Iterator[Finding]:
    if not link["session"]:
        reason = (link["last_error"] or "it was never seen").rstrip(".")
        yield Finding(
            "fail",
            f"no session with {name}: {reason}.",
            f"See that {name} runs and that the site reaches the cloud; nothing is lost meanwhile.",
        )
        return
    yield Finding("ok", f"a session with {name}, {link['backlog_records']:,} records wait.")
    if not link["flow"]:
        yield Finding(
            "warn",
            f"nothing moves between here and {name}.",
            "See `littoral status` on both sides.",
        )
    skew = link["skew_ms"]
    if skew is not None and abs(skew) > SKEW_MS_WARN:
        yield Finding(
            "warn",
            f"the clock of {name} is {skew / 1000:+.1f} s off ours.",
            "Synchronise it: stamps more than 5 minutes ahead are refused.",
        )
