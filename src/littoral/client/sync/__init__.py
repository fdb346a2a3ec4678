# Written by docs/unasync.py from littoral.client.aio; change that, then run `make docs`.
"""The clients without asyncio, made from `littoral.client.aio`: `make docs`.

Invariant: nothing here builds a request or reads an answer; `requests`, `protocol` and `answers` do.
"""

from littoral.client.sync.client import Client
from littoral.client.sync.session import Session

__all__ = ["Client", "Session"]
