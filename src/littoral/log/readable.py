"""What cursors and housekeeping need of the log, so that they do not know its service."""

from typing import Protocol

from littoral.kernel.ids import NodeId, Origin
from littoral.log.model import Headers, Loss, Record


class Readable(Protocol):
    """The part of `Log` that its own rooms use."""

    node: NodeId
    head: int
    committed: int

    def append(
        self,
        cls: int,
        kind: str,
        entity: str,
        revision: int,
        prev_seq: int,
        path: str,
        value: bytes,
        device_time: int | None = None,
        headers: Headers | None = None,
    ) -> int: ...

    def read(
        self, after: int, *, limit: int, cls: int | None = None, origin: Origin | None = None
    ) -> list[Record]: ...

    def put(self, space: str, key: str, value: bytes | None) -> None: ...

    def get(self, space: str, key: str) -> bytes | None: ...

    def scan(
        self, space: str, *, prefix: str = "", after: str = "", limit: int = 1000
    ) -> list[tuple[str, bytes]]: ...

    async def wait(self, seq: int | None = None) -> None: ...

    def forget_cursor(self, name: str) -> None: ...

    def forget_tail(self, up_to: int) -> None: ...

    def note_dropped(self, loss: Loss) -> None: ...
