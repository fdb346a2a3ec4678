"""Which part of the API answers below which root: one line per root, and nothing else."""

from collections.abc import Mapping
from typing import Protocol

from littoral.api.http.answers import Answer, Stream
from littoral.api.http.request import Request
from littoral.twin import Caller


class Routes(Protocol):
    """What answers below a root, for a caller who is known."""

    async def handle(
        self, request: Request, caller: Caller, rest: tuple[str, ...]
    ) -> Answer | Stream:
        """Answer a request; ``rest`` are the segments after the root."""
        ...


class OpenRoutes(Protocol):
    """What answers below a root without asking who it is, or asks by itself."""

    async def handle(self, request: Request, rest: tuple[str, ...]) -> Answer | Stream:
        """Answer a request; ``rest`` are the segments after the root."""
        ...


Api2 = Mapping[str, Routes]
"""Name after ``/api/2`` to what answers there."""

Open = Mapping[str, OpenRoutes]
"""First segment of a path outside of the API to what answers there."""
