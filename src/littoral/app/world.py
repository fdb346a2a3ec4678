"""The real world's ports: clock, randomness, addresses and listening sockets."""

import asyncio
import os
import random
import socket
import time
from collections.abc import Callable

from littoral.kernel.errors import LittoralError


class InvalidAddress(LittoralError):
    """The text is not ``HOST:PORT``."""

    code = "littoral.address.invalid"


class AddressInUse(LittoralError):
    """Somebody else listens there already, or the host is not ours."""

    code = "littoral.address.in_use"


class SystemClock:
    """The machine's clocks."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    monotonic_s = staticmethod(time.monotonic)


class SystemEntropy:
    """The machine's randomness."""

    def __init__(self) -> None:
        self._random = random.SystemRandom()

    def token(self, size: int) -> bytes:
        return os.urandom(size)

    def uniform(self, low: float, high: float) -> float:
        return self._random.uniform(low, high)


def parse_address(text: str) -> tuple[str, int]:
    """Split ``HOST:PORT``; the host of ``:PORT`` is loopback, IPv6 stands in brackets."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65_535:
        raise InvalidAddress(f"{text!r} is not HOST:PORT.", hint="Example: 127.0.0.1:8080.")
    return host.strip("[]") or "127.0.0.1", int(port)


def bind(address: str, *, door: str, setting: str) -> socket.socket:
    """A socket bound to ``address`` and not listening yet; port 0 picks a free one.

    Raises:
        AddressInUse: says which door, and which setting moves it.
    """
    host, port = parse_address(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setblocking(False)  # noqa: FBT003  # the standard library's own signature
    try:
        sock.bind((host, port))
    except OSError as e:
        sock.close()
        raise AddressInUse(
            f"the {door} door cannot listen on {address}: {e.strerror}.",
            hint=f"Choose another address with {setting}, or stop what listens there.",
        ) from e
    return sock


def address_of(sock: socket.socket) -> str:
    """``HOST:PORT`` of a bound socket."""
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def listen(
    sock: socket.socket, factory: Callable[[], asyncio.Protocol], *, backlog: int
) -> asyncio.Server:
    """Serve ``factory`` on a bound socket, in the running loop."""
    return await asyncio.get_running_loop().create_server(factory, sock=sock, backlog=backlog)
