"""What a command came to, before a door gives it its form."""

import msgspec

from littoral.twin.protocol import ABSENT


class Result(msgspec.Struct):
    """What a command came to.

    Invariant: it may be shown once the log has committed ``seq``; `Commands.run` has waited for it.
    """

    status: int
    value: object = ABSENT
    etag: str = ""
    headers: dict[str, str] = {}
    """More headers of the answer, by lower-case name."""
    seq: int = 0
    """Of what it wrote, or of the newest that it read; 0 if nothing has to be waited for."""
    revision: int = 0
    created: bool = False
    """Whether it made something, if ``status`` is that of acknowledgements."""


Pending = Result
"""A result that may not be shown before ``seq`` is durable."""
