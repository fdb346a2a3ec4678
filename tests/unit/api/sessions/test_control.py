"""Control frames of a WebSocket: any text is one, or none, or refused."""

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from littoral.api.sessions.control import Feed, parse_control
from littoral.kernel.errors import LittoralError


def test_control_frames_are_read():
    control = parse_control("START-SEND-EVENTS?namespaces=a.b,%20c&correlation-id=1=2&&")
    assert control is not None
    assert (control.feed, control.start) == (Feed.EVENTS, True)
    assert control.selection.namespaces == frozenset({"a.b", "c"})
    assert control.correlation_id == "1=2"
    stop = parse_control(" STOP-SEND-MESSAGES ")
    assert stop is not None and stop.acknowledgement == "STOP-SEND-MESSAGES:ACK"
    assert parse_control("START-SEND-NOTHING") is None


@given(st.text(max_size=60) | st.text(max_size=60).map("START-SEND-EVENTS?".__add__))
def test_any_control_frame_is_read_or_refused(text):
    with contextlib.suppress(LittoralError):
        parse_control(text)
