"""Server-sent events out of lines. Pure.

Spec: WHATWG HTML, 9.2.6 *Interpreting an event stream*; only ``data`` and comments are used.
"""

from collections.abc import Iterable, Iterator

from littoral.client.errors import StreamEnded

EVENT_CHARS_MAX = 16 * 1024 * 1024
"""Data of one event; more cannot come from a node."""


def parse_events(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Give ``("data", text)`` for each event and ``("comment", text)`` for each comment."""
    data: list[str] = []
    size = 0
    for line in lines:
        if not line:
            if data and any(data):
                yield "data", "\n".join(data)
            data, size = [], 0
        elif line.startswith(":"):
            yield "comment", line[1:].strip()
        elif line.startswith("data:"):
            size += len(line)
            if size > EVENT_CHARS_MAX:
                raise StreamEnded("an event is too large to be a node's.")
            data.append(line.removeprefix("data:").removeprefix(" "))
