"""The one pipeline of commands, whichever door they come through: HTTP, WebSocket or CloudEvents.

`signals` reads the headers, `commands` decides, appends and waits, `results` is what it came to;
`live` asks the device itself, `live_events` lets it speak; `migration`
changes a definition; `exchange` is one command over HTTP.

Invariant: a `Result` is shown only when what it says is durable.
"""

from littoral.api.pipeline.commands import Commands
from littoral.api.pipeline.exchange import answer_of, id_for, json_value
from littoral.api.pipeline.live import expected_beside
from littoral.api.pipeline.live_events import LiveEvents
from littoral.api.pipeline.results import Result
from littoral.api.pipeline.signals import (
    SignalHeaders,
    headers_of,
    parse_headers,
    parse_labels,
)

__all__ = [
    "Commands",
    "LiveEvents",
    "Result",
    "SignalHeaders",
    "answer_of",
    "expected_beside",
    "headers_of",
    "id_for",
    "json_value",
    "parse_headers",
    "parse_labels",
]
