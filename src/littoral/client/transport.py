"""HTTP under the client: one place where failures become errors that say what to do."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
import msgspec

from littoral.client.errors import ApiError, NotANode, StreamEnded, Unreachable

T = TypeVar("T")

DEFAULT_URL = "http://127.0.0.1:8080"
TIMEOUT_S = 65.0
"""A little longer than the longest that a node lets a caller wait."""

CONNECT_S = 5.0
STREAM_SILENCE_S = 10.0
"""A stream has a heartbeat each second; after so long without one it is dead."""


class Transport:
    """Requests to one node, with its credentials."""

    def __init__(
        self, url: str, user: str, password: str, transport: httpx.BaseTransport | None
    ) -> None:
        self.url = url.rstrip("/")
        self._http = httpx.Client(
            base_url=self.url,
            auth=(user, password) if user else None,
            timeout=httpx.Timeout(TIMEOUT_S, connect=CONNECT_S),
            transport=transport,
            trust_env=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections. Idempotent."""
        self._http.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str | int] | None = None,
        body: object = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        refuse: bool = True,
    ) -> httpx.Response:
        """Send one request, with JSON if ``body`` is given.

        Raises:
            Unreachable; ApiError for a status of 400 or more, unless ``refuse`` is False.
        """
        headers = dict(headers or {})
        if body is not None:
            content = msgspec.json.encode(body)
            headers.setdefault("content-type", "application/json")
        with self._explained():
            response = self._http.request(
                method, path, params=params, content=content, headers=headers
            )
        if refuse and response.status_code >= 400:
            raise error_of(response.status_code, response.content, response.headers)
        return response

    @contextmanager
    def lines(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str | int] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        silence_s: float = STREAM_SILENCE_S,
    ) -> Iterator[Iterator[str]]:
        """Open a stream of lines; `StreamEnded` if it breaks or is silent for too long."""
        timeout = httpx.Timeout(silence_s, connect=CONNECT_S)
        with (
            self._explained(),
            self._http.stream(
                method, path, params=params, content=content, headers=headers, timeout=timeout
            ) as response,
        ):
            if response.status_code >= 400:
                raise error_of(response.status_code, response.read(), response.headers)
            yield self._lines(response)

    def _lines(self, response: httpx.Response) -> Iterator[str]:
        try:
            yield from response.iter_lines()
        except httpx.TransportError as e:
            raise StreamEnded(
                f"the stream from {self.url} broke: {e}.", hint="Begin it again."
            ) from e

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except httpx.TimeoutException as e:
            raise Unreachable(
                f"{self.url} did not answer in time.", hint="See `littoral status` at the node."
            ) from e
        except (httpx.TransportError, httpx.InvalidURL, httpx.UnsupportedProtocol) as e:
            raise Unreachable(
                f"there is no node at {self.url}: {str(e).rstrip('.')}.",
                hint="Start one with `littoral up`, or name yours with --url or LITTORAL_URL.",
            ) from e


def decoded(url: str, body: bytes, kind: Any = Any) -> Any:
    """A JSON answer; `NotANode` if it is none, so that a wrong address is told as such."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        raise NotANode(
            f"what answers at {url} does not speak Littoral's API: {e}.",
            hint="See that the address is a node's HTTP door.",
        ) from e


def converted(url: str, value: object, kind: type[T]) -> T:
    """Parsed JSON as values; `NotANode` if it does not fit."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as e:
        raise NotANode(
            f"what answers at {url} does not speak Littoral's API: {e}.",
            hint="See that the node is not much older than this client.",
        ) from e


def error_of(status: int, body: bytes, headers: Mapping[str, str]) -> ApiError:
    """The error that an answer stands for, whatever its body is."""
    correlation_id = headers.get("correlation-id", "")
    try:
        document = msgspec.json.decode(body)
    except msgspec.DecodeError:
        document = None
    if not isinstance(document, dict):
        text = body[:200].decode(errors="replace").strip()
        return ApiError(status, "client.refused", f"the node answered {status}: {text}")
    hint = str(document.get("description", ""))
    if status == 401 and not hint:
        hint = "Name your user with --user and --password, or LITTORAL_USER and LITTORAL_PASSWORD."
    return ApiError(
        status,
        str(document.get("error", "client.refused")),
        str(document.get("message", f"the node answered {status}.")),
        hint,
        correlation_id,
    )
