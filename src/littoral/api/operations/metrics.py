"""Statistics records as text that Prometheus reads. Pure.

prometheus-client would cost 100 ms at the start of an edge node; this is all of it that we use.
"""

import dataclasses
import re
from collections.abc import Iterable, Mapping

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
LINK_MEMBERS = (
    "link", "session", "flow", "fresh_ms", "skew_ms", "backlog_records", "held_records",
    "sent_records", "received_records", "drain_per_s", "catch_up_s", "autonomy_h", "sessions",
)  # fmt: skip
"""What is told of each link: a cloud has thousands of them."""

_COUNTED = {
    "acks": "expected acknowledged weak late timed_out",
    "http": "requests failures",
    "identities": "recalled_total checked_total refused_total key_fetches_total key_failures_total",
    "inbox": "sent delivered replied timed_out expired refused failed",
    "link": "sent_records received_records sessions",
    "live": "commands events delivered answered timed_out late failed",
    "log": "batches records",
    "mailbox": "kept answered_at_once offered done expired cancelled refused",
    "mqtt": "connects publishes acknowledged bytes_in commands commands_acknowledged responses "
    "late_responses paused taken_over closed_by_reason refused_by_code",
    "registry": "admitted_total refused_total",
    "router": "batches passed failed",
    "search": "queries taken read rebuilds inline",
    "twins": "loads evictions folds refolds conflicts duplicates late policies_compiled "
    "subjects_removed announcements refused",
}
"""Part to what only grows while the process lives; everything else may fall. They keep their
names, most without ``_total``: dashboards and alerts know them."""

COUNTERS = frozenset(
    f"littoral_{part}_{name}" for part, names in _COUNTED.items() for name in names.split()
)

_NAME = re.compile(r"[^a-zA-Z0-9_]")


def exposition(
    sources: Iterable[tuple[str, object]], links: Mapping[str, object] | None = None
) -> bytes:
    """Write one line per number of each statistics record.

    Args:
        sources: name of the part (``log``) and its record: a frozen dataclass of numbers, of
            mappings from a label to a number, and of such records.
        links: peer to what is known of its link; what is not known has no line.
    """
    lines: list[str] = []
    for part, record in sources:
        for name, value in members_of(record):
            _write(lines, f"littoral_{part}_{name}", value)
    for member in LINK_MEMBERS:
        _write_links(lines, member, links or {})
    return ("\n".join(lines) + "\n").encode()


def members_of(record: object) -> list[tuple[str, object]]:
    """Names and values of a statistics record, in their order."""
    if dataclasses.is_dataclass(record) and not isinstance(record, type):
        return [(f.name, getattr(record, f.name)) for f in dataclasses.fields(record)]
    if isinstance(record, tuple) and hasattr(record, "_asdict"):
        return list(record._asdict().items())
    if isinstance(record, Mapping):
        return [(str(name), value) for name, value in record.items()]
    return []


def _write(lines: list[str], name: str, value: object) -> None:
    name = _NAME.sub("_", name)
    if isinstance(value, bool | int | float):
        lines.append(_type(name))
        lines.append(f"{name} {_number(value)}")
    elif isinstance(value, Mapping):
        numbers = [(k, v) for k, v in value.items() if isinstance(v, int | float)]
        if numbers:
            lines.append(_type(name))
        lines.extend(f'{name}{{of="{_label(str(k))}"}} {_number(v)}' for k, v in numbers)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for inner, part in members_of(value):
            _write(lines, f"{name}_{inner}", part)


def _write_links(lines: list[str], member: str, links: Mapping[str, object]) -> None:
    name = f"littoral_link_{member}" if member != "link" else "littoral_link_up"
    found = [
        (peer, value)
        for peer, status in links.items()
        if isinstance(status, Mapping) and isinstance(value := status.get(member), int | float)
    ]
    if found:
        lines.append(_type(name))
    lines.extend(f'{name}{{peer="{_label(peer)}"}} {_number(value)}' for peer, value in found)


def _type(name: str) -> str:
    return f"# TYPE {name} {'counter' if name in COUNTERS else 'gauge'}"


def _number(value: float) -> str:
    return str(int(value)) if isinstance(value, bool) else repr(value)


def _label(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
