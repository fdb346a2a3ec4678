"""The clients for asyncio. `littoral.client.sync` is made from these modules: `make docs`.

Invariant: nothing here builds a request or reads an answer; `requests`, `protocol` and `answers` do.
"""

from littoral.client.aio.client import AsyncClient
from littoral.client.aio.session import AsyncSession

__all__ = ["AsyncClient", "AsyncSession"]
