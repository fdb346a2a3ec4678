"""What is pushed to those who watch: committed changes, the past, and messages, as each may read them.

`changes` is a change as its readers see it, `feeds` hands it to everybody who watches, `filters` is
what they narrowed it to, `past` what was before; `sse` opens all of that as server-sent events, with
`events` one reader of them and `messages` what it hears of messages.

Invariant: nothing waits for a slow reader; it loses its oldest, and is told how many.
"""

from littoral.api.streams.changes import extra_fields
from littoral.api.streams.events import EVENT_STREAM, HEARTBEAT
from littoral.api.streams.feeds import Feeds, Pushed, Watching
from littoral.api.streams.filters import NO_SELECTION, Selection, is_wanted, select
from littoral.api.streams.past import event_of, past_of, span_of
from littoral.api.streams.sse import ThingStreams

__all__ = [
    "EVENT_STREAM",
    "HEARTBEAT",
    "NO_SELECTION",
    "Feeds",
    "Pushed",
    "Selection",
    "ThingStreams",
    "Watching",
    "event_of",
    "extra_fields",
    "is_wanted",
    "past_of",
    "select",
    "span_of",
]
