"""Facts to whoever listens now, and live messages to and from things.

`Router` passes committed records on to live subscribers; `BoundedQueue` is the buffer that a slow
one reads from. `Inbox` takes a message to whoever speaks for a thing and brings the answer back.

Invariant: nothing here is durable and nothing here waits for a subscriber; what must not be lost
is read from the log by a cursor.
"""

from littoral.eventing.errors import (
    InvalidMessageFeature,
    InvalidMessageSubject,
    MessageTimeout,
    MessageTooLarge,
    TooManyMessages,
)
from littoral.eventing.inbox import Attachment, Inbox
from littoral.eventing.model import (
    FEED_BYTES_MAX,
    FEED_ITEMS_MAX,
    MESSAGE_TIMEOUT_S,
    MESSAGE_TIMEOUT_S_MAX,
    MESSAGES_PENDING_MAX,
    MESSAGES_PER_THING_MAX,
    SUBJECT_CHARS_MAX,
    Direction,
    InboxStatistics,
    Message,
    Reply,
    RouterStatistics,
)
from littoral.eventing.ports import CommittedRecords, Receiver, RecordSink
from littoral.eventing.queue import BoundedQueue, Taken, record_bytes, record_queue
from littoral.eventing.router import Router, Subscription

__all__ = [
    "FEED_BYTES_MAX",
    "FEED_ITEMS_MAX",
    "MESSAGES_PENDING_MAX",
    "MESSAGES_PER_THING_MAX",
    "MESSAGE_TIMEOUT_S",
    "MESSAGE_TIMEOUT_S_MAX",
    "SUBJECT_CHARS_MAX",
    "Attachment",
    "BoundedQueue",
    "CommittedRecords",
    "Direction",
    "Inbox",
    "InboxStatistics",
    "InvalidMessageFeature",
    "InvalidMessageSubject",
    "Message",
    "MessageTimeout",
    "MessageTooLarge",
    "Receiver",
    "RecordSink",
    "Reply",
    "Router",
    "RouterStatistics",
    "Subscription",
    "Taken",
    "TooManyMessages",
    "record_bytes",
    "record_queue",
]
