"""Messages to and from things: sent over HTTP, delivered for every door, kept for who is away.

`delivery` is the desk that all doors hand messages to, `routes` its HTTP, `mailbox` what is kept.

Invariant: a message is neither delivered nor kept before its sender was found to be allowed to send it.
"""

from littoral.api.messages.delivery import MessageDesk, is_claim, message_headers, message_of
from littoral.api.messages.mailbox import MailboxRoutes
from littoral.api.messages.routes import MessageRoutes, is_message_address

__all__ = [
    "MailboxRoutes",
    "MessageDesk",
    "MessageRoutes",
    "is_claim",
    "is_message_address",
    "message_headers",
    "message_of",
]
