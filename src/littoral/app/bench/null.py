"""An MQTT server that does nothing but answer: what the generator itself can drive.

``python -m littoral.app.bench.null PORT``. It decodes no payload, keeps nothing and checks no one;
its figure is the ceiling that every other row of the table is read against.
"""

import asyncio
import sys
from typing import cast

import uvloop

_ACK = b"\x40\x02"


class NullServer(asyncio.Protocol):
    """Answers CONNECT, and PUBLISH by its packet id; one write per read."""

    def __init__(self) -> None:
        self._rest = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none by inheritance.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        out = []
        at, size = 0, len(data)
        while size - at >= 4:
            first = data[at]
            length, head = data[at + 1], 2
            if length & 0x80:
                length, head = (length & 0x7F) + (data[at + 2] << 7), 3
            end = at + head + length
            if end > size:
                break
            if first == 0x32:
                body = at + head
                id_at = body + 2 + data[body] * 256 + data[body + 1]
                out.append(_ACK + data[id_at : id_at + 2])
            elif first == 0x10:
                v5 = data[at + head + 6] == 5
                out.append(b"\x20\x03\x00\x00\x00" if v5 else b"\x20\x02\x00\x00")
            at = end
        self._rest = data[at:]
        if out and self._transport is not None:
            self._transport.write(b"".join(out))


async def serve(port: int) -> None:
    """Listen on the loopback until cancelled."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(NullServer, "127.0.0.1", port, backlog=2048)
    async with server:
        await server.serve_forever()


def main() -> None:
    uvloop.run(serve(int(sys.argv[1])))


if __name__ == "__main__":
    main()
