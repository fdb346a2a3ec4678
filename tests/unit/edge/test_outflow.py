"""What a sender reports as done; found by seed 14 of the virtual world."""

from littoral.edge.core.outflow import Outflow
from littoral.edge.core.resume import Span


def test_a_class_whose_rest_is_not_for_the_peer_is_done_after_reading_it():
    # After a restart the newest own record is not known, so the sender reads to the log's end; if
    # it finds only others' records there, nobody acknowledges anything: it must say so itself.
    outflow = Outflow([Span("a/1", 0, 16), Span("a/2", 16, None)], head=16, records=9, raw_bytes=9)
    outflow.start(dict.fromkeys(range(5), 16) | {2: 12})
    read = outflow.next_read()
    assert (read.cls, read.after) == (2, 12)
    assert outflow.took(read, [], committed=16) == (0, 16)
    assert outflow.pass_over(16) == [(2, 16)]
    assert outflow.pass_over(16) == []
    assert outflow.is_drained(2)


def test_what_is_not_acknowledged_is_not_done():
    outflow = Outflow([Span("a/1", 0, None)], head=3, records=9, raw_bytes=999)
    outflow.start(dict.fromkeys(range(5), 3) | {2: 0})
    read = outflow.next_read()
    outflow.took(read, [], committed=3)
    outflow.sent(read, 3, records=1, payload_bytes=1, raw_bytes=1)
    assert outflow.pass_over(3) == []
    assert outflow.acknowledged(2, 3) == (3, 1, 1)
    assert outflow.pass_over(3) == []
