"""A node's status as people read it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.markup import escape

from littoral.cli.output import amount, amount_of_bytes, console, duration, plain_table, print_table

MS = 1000


def print_status(status: Mapping[str, Any]) -> None:
    """Print what ``GET /api/littoral/v1/status`` answered."""
    out = console()
    node, log = status["node"], status["log"]
    word = (
        "[green]ready[/]" if status["ready"] else f"[red]not ready[/]: {escape(status['reason'])}"
    )
    out.print(f"[bold]{node['name']}[/] ({node['role']}, littoral {node['version']}) is {word}")
    fill = 100 * log["bytes_used"] / max(1, log["bytes_max"])
    out.print(
        f"log: {amount(log['records'], 'record')} since start, head {log['head']:,}; "
        f"{amount_of_bytes(log['bytes_used'])} of {amount_of_bytes(log['bytes_max'])} "
        f"({fill:.1f} %)"
    )
    if log["refused"]:
        out.print(f"[red]writes are refused:[/] {escape(str(log['refused']))}", soft_wrap=True)
    _doors(status["parts"], out)
    _classes(log["classes"], status["time"], out)
    _links(status["links"], out)


def _doors(parts: Mapping[str, Any], out: Console) -> None:
    mqtt, twins = parts.get("mqtt"), parts.get("twins")
    if mqtt:
        out.print(
            f"mqtt: {amount(mqtt['connections'], 'connection')}, "
            f"{amount(mqtt['publishes'], 'message')}, "
            f"{mqtt['acknowledged']:,} acknowledged, {amount(mqtt['commands'], 'command')}"
        )
    if twins:
        out.print(f"twins: {twins['hot']:,} hot, {amount(twins['conflicts'], 'conflict')}")


def _classes(classes: list[Mapping[str, Any]], now: str, out: Console) -> None:
    rows = [c for c in classes if c["records"]]
    if not rows:
        return
    table = plain_table(
        ("CLASS", "RECORDS", "PAYLOAD", "OLDEST"), numbers=("RECORDS", "PAYLOAD", "OLDEST")
    )
    now_ms = int(datetime.fromisoformat(now).timestamp() * MS)
    for c in rows:
        age = None if c["oldest_ms"] is None else max(0, now_ms - c["oldest_ms"]) / MS
        table.add_row(
            c["class"], f"{c['records']:,}", amount_of_bytes(c["payload_bytes"]), duration(age)
        )
    out.print()
    print_table(table)


def _links(links: Mapping[str, Mapping[str, Any]], out: Console) -> None:
    if not links:
        return
    numbers = ("BACKLOG", "DRAIN/S", "CATCH-UP", "AUTONOMY")
    table = plain_table(("LINK", "UP", "SESSION", "FLOW", "FRESH", *numbers), numbers=numbers)
    for name, link in links.items():
        hours = link.get("autonomy_h")
        table.add_row(
            escape(name),
            _mark(link["link"]),
            _mark(link["session"]),
            _mark(link["flow"]),
            "-" if link["fresh_ms"] is None else duration(link["fresh_ms"] / MS),
            f"{link['backlog_records']:,}",
            f"{link['drain_per_s']:,.0f}",
            duration(link["catch_up_s"]),
            "-" if hours is None else f"{hours:,.0f} h",
        )
    out.print()
    print_table(table)
    for name, link in links.items():
        if link["last_error"] and not link["session"]:
            out.print(
                f"[yellow]{escape(name)}[/]: {escape(str(link['last_error']))}", soft_wrap=True
            )


def _mark(value: object) -> str:
    return "[green]yes[/]" if value else "[red]no[/]"
