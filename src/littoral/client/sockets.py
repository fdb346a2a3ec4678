"""A WebSocket under the sessions, blocking and not; with the lock that their readers share."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Self

import websockets.asyncio.client
import websockets.exceptions
import websockets.sync.client

from littoral.client.answers import error_of
from littoral.client.errors import ClientError, StreamEnded, Unreachable
from littoral.client.http import CONNECT_S, advice

FRAME_BYTES_MAX = 16 * 1024 * 1024
"""One frame; a node sends none that is longer."""

CLOSE_S = 5.0
"""How long the node has to say good-bye."""


class Lock:
    """Mutual exclusion between threads, with a bound on the wait."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def acquire(self, timeout_s: float | None) -> bool:
        """Take it; False if that took too long."""
        return self._lock.acquire(timeout=-1 if timeout_s is None else max(timeout_s, 0))

    def release(self) -> None:
        """Give it back."""
        self._lock.release()


class AsyncLock:
    """Mutual exclusion between tasks, with a bound on the wait."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    async def acquire(self, timeout_s: float | None) -> bool:
        """Take it; False if that took too long."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._lock.acquire()
        except TimeoutError:
            return False
        return True

    async def release(self) -> None:
        """Give it back."""
        self._lock.release()


class Socket:
    """One connection to /ws/2, blocking."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self._url, self._headers = url, headers
        self._opened = contextlib.ExitStack()

    def __enter__(self) -> Self:
        try:
            self._socket = self._opened.enter_context(
                websockets.sync.client.connect(
                    self._url,
                    additional_headers=self._headers,
                    open_timeout=CONNECT_S,
                    close_timeout=CLOSE_S,
                    max_size=FRAME_BYTES_MAX,
                    proxy=None,
                )
            )
        except (OSError, TimeoutError, websockets.exceptions.WebSocketException) as e:
            raise _refused(self._url, e) from e
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Say good-bye. Idempotent."""
        self._opened.close()

    def send(self, text: str | bytes) -> None:
        """Send one text frame."""
        try:
            self._socket.send(text, text=True)
        except websockets.exceptions.ConnectionClosed as e:
            raise _ended(self._url, e) from e

    def receive(self, timeout_s: float | None) -> str | bytes | None:
        """The next frame; None if none came in time."""
        try:
            return self._socket.recv(timeout=timeout_s)
        except TimeoutError:
            return None
        except websockets.exceptions.ConnectionClosed as e:
            raise _ended(self._url, e) from e


class AsyncSocket:
    """One connection to /ws/2."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self._url, self._headers = url, headers
        self._opened = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        try:
            self._socket = await self._opened.enter_async_context(
                websockets.asyncio.client.connect(
                    self._url,
                    additional_headers=self._headers,
                    open_timeout=CONNECT_S,
                    close_timeout=CLOSE_S,
                    max_size=FRAME_BYTES_MAX,
                    proxy=None,
                )
            )
        except (OSError, TimeoutError, websockets.exceptions.WebSocketException) as e:
            raise _refused(self._url, e) from e
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Say good-bye. Idempotent."""
        await self._opened.aclose()

    async def send(self, text: str | bytes) -> None:
        """Send one text frame."""
        try:
            await self._socket.send(text, text=True)
        except websockets.exceptions.ConnectionClosed as e:
            raise _ended(self._url, e) from e

    async def receive(self, timeout_s: float | None) -> str | bytes | None:
        """The next frame; None if none came in time."""
        with contextlib.suppress(TimeoutError):
            try:
                async with asyncio.timeout(timeout_s):
                    return await self._socket.recv()
            except websockets.exceptions.ConnectionClosed as e:
                raise _ended(self._url, e) from e
        return None


def _refused(url: str, e: Exception) -> ClientError:
    if isinstance(e, websockets.exceptions.InvalidStatus):
        answer = e.response
        return error_of(answer.status_code, bytes(answer.body or b""), answer.headers)
    return Unreachable(f"there is no node at {url}: {str(e).rstrip('.')}.", hint=advice(e))


def _ended(url: str, e: websockets.exceptions.ConnectionClosed) -> StreamEnded:
    why = e.rcvd.reason if e.rcvd is not None and e.rcvd.reason else "the connection is closed"
    return StreamEnded(f"the session with {url} ended: {why}.", hint="Open another one.")


class Deadline:
    """How long something may still take."""

    def __init__(self, timeout_s: float | None) -> None:
        self._at = None if timeout_s is None else _now_s() + timeout_s

    @property
    def left_s(self) -> float | None:
        """Seconds that are left; None: there is no end."""
        return None if self._at is None else max(self._at - _now_s(), 0.0)


def _now_s() -> float:
    # A program's own waiting, outside of any node: there is no clock port here.
    return time.monotonic()  # noqa: TID251


def socket_url(url: str, declared_acks: Sequence[str]) -> str:
    """Where sessions are, for a node whose HTTP door is at ``url``."""
    base = url.rstrip("/").replace("http", "ws", 1)
    more = f"?declared-acks={','.join(declared_acks)}" if declared_acks else ""
    return f"{base}/ws/2{more}"
