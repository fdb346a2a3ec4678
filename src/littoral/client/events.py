"""Server-sent events out of lines. Pure.

Spec: WHATWG HTML, 9.2.6 *Interpreting an event stream*; ``retry`` is not used.
"""

from dataclasses import dataclass

from littoral.client.errors import StreamEnded

EVENT_CHARS_MAX = 16 * 1024 * 1024
"""Data of one event; more cannot come from a node."""


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event, or with ``comment`` what the stream says of itself."""

    data: str = ""
    name: str = ""
    """Of a message its subject."""
    id: str = ""
    comment: str = ""


class EventParser:
    """Takes lines; gives events. Heartbeats are not given."""

    def __init__(self) -> None:
        self._data: list[str] = []
        self._name = self._id = ""
        self._size = 0

    def feed(self, line: str) -> ServerEvent | None:
        """Take one line without its end; give an event if that completes one."""
        if not line:
            return self._complete()
        if line.startswith(":"):
            return ServerEvent(comment=line[1:].strip())
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match field:
            case "data":
                self._size += len(line)
                if self._size > EVENT_CHARS_MAX:
                    raise StreamEnded("an event is too large to be a node's.")
                self._data.append(value)
            case "event":
                self._name = value
            case "id":
                self._id = value
            case _:
                pass
        return None

    def _complete(self) -> ServerEvent | None:
        data, name, ident = self._data, self._name, self._id
        self._data, self._name, self._id, self._size = [], "", "", 0
        if not any(data) and not name and not ident:
            return None
        return ServerEvent(data="\n".join(data), name=name, id=ident)
