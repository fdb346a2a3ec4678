"""HTTP under the clients, blocking and not: one place where failures become errors."""

import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import httpx

from littoral.client.answers import Answer, error_of
from littoral.client.errors import StreamEnded, Unreachable
from littoral.client.requests import Request

DEFAULT_URL = "http://127.0.0.1:8080"
TIMEOUT_S = 65.0
"""A little longer than the longest that a node lets a caller wait."""

CONNECT_S = 5.0
STREAM_SILENCE_S = 10.0
"""A stream has a heartbeat each second; after so long without one it is dead."""


@dataclass(frozen=True, slots=True)
class Target:
    """Which node, and as whom."""

    url: str = DEFAULT_URL
    user: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    """A JWT of an issuer that the node knows, or an API key."""

    def __post_init__(self) -> None:
        """Take an address as people write it: without a scheme it is http.

        Raises:
            Unreachable: its scheme is another one.
        """
        url = self.url.strip().rstrip("/")
        scheme, _, place = url.partition("://") if "://" in url else ("http", "", url)
        if scheme.lower() not in ("http", "https"):
            raise Unreachable(
                f"{self.url} is not the address of a node: it begins with {scheme}://.",
                hint="Write http://HOST:PORT, or https://HOST where a proxy speaks TLS.",
            )
        object.__setattr__(self, "url", f"{scheme.lower()}://{place}")

    @property
    def authorization(self) -> dict[str, str]:
        """The header that says who asks."""
        if self.token:
            return {"authorization": f"Bearer {self.token}"}
        if not self.user:
            return {}
        made = httpx.BasicAuth(self.user, self.password)
        request = next(made.auth_flow(httpx.Request("GET", "http://x")))
        return {"authorization": request.headers["authorization"]}


class HttpTransport:
    """Requests to one node, one after the other."""

    def __init__(self, target: Target, transport: httpx.BaseTransport | None = None) -> None:
        self.url = target.url
        self._http = httpx.Client(
            base_url=self.url,
            verify=trusted(self.url),
            headers=target.authorization,
            timeout=_timeout(),
            transport=transport,
            trust_env=False,
        )

    def close(self) -> None:
        """Close the connections. Idempotent."""
        self._http.close()

    def send(self, request: Request, *, refuse: bool = True) -> Answer:
        """Send one request.

        Raises:
            Unreachable; ApiError for a status of 400 or more, unless ``refuse`` is False.
        """
        with _explained(self.url):
            found = self._http.send(_built(self._http, request))
        return _answer(self.url, found, refuse=refuse)

    @contextmanager
    def lines(
        self, request: Request, *, silence_s: float = STREAM_SILENCE_S
    ) -> Iterator[Iterator[str]]:
        """Open a stream of lines; `StreamEnded` if it breaks or is silent for too long."""
        with _explained(self.url):
            built = _built(self._http, request, silence_s)
            response = self._http.send(built, stream=True)
            try:
                if response.status_code >= 400:
                    raise error_of(response.status_code, response.read(), response.headers)
                yield self._lines(response)
            finally:
                response.close()

    def _lines(self, response: httpx.Response) -> Iterator[str]:
        try:
            yield from response.iter_lines()
        except httpx.TransportError as e:
            raise _broken(self.url, e) from e


class AsyncHttpTransport:
    """Requests to one node, as many at a time as are awaited."""

    def __init__(self, target: Target, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self.url = target.url
        self._http = httpx.AsyncClient(
            base_url=self.url,
            verify=trusted(self.url),
            headers=target.authorization,
            timeout=_timeout(),
            transport=transport,
            trust_env=False,
        )

    async def close(self) -> None:
        """Close the connections. Idempotent."""
        await self._http.aclose()

    async def send(self, request: Request, *, refuse: bool = True) -> Answer:
        """Send one request.

        Raises:
            Unreachable; ApiError for a status of 400 or more, unless ``refuse`` is False.
        """
        with _explained(self.url):
            found = await self._http.send(_built(self._http, request))
        return _answer(self.url, found, refuse=refuse)

    @asynccontextmanager
    async def lines(
        self, request: Request, *, silence_s: float = STREAM_SILENCE_S
    ) -> AsyncIterator[AsyncIterator[str]]:
        """Open a stream of lines; `StreamEnded` if it breaks or is silent for too long."""
        with _explained(self.url):
            built = _built(self._http, request, silence_s)
            response = await self._http.send(built, stream=True)
            try:
                if response.status_code >= 400:
                    raise error_of(response.status_code, await response.aread(), response.headers)
                yield self._lines(response)
            finally:
                await response.aclose()

    async def _lines(self, response: httpx.Response) -> AsyncIterator[str]:
        try:
            async for line in response.aiter_lines():
                yield line
        except httpx.TransportError as e:
            raise _broken(self.url, e) from e


def trusted(url: str) -> ssl.SSLContext:
    """Whom to believe: the machine's authorities, or those in the file that SSL_CERT_FILE names.

    The same for requests and sessions; httpx alone would bring a list of its own. Nobody is
    believed where nothing is encrypted: reading the machine's list takes 20 ms.
    """
    if url.startswith("https:"):
        return ssl.create_default_context()
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _timeout(wait_s: float | None = None) -> httpx.Timeout:
    # A node that is asked to wait itself gets a little longer than that.
    longest = TIMEOUT_S if wait_s is None else max(wait_s + 5, CONNECT_S)
    return httpx.Timeout(longest, connect=CONNECT_S)


def _built(
    http: httpx.Client | httpx.AsyncClient, request: Request, silence_s: float | None = None
) -> httpx.Request:
    return http.build_request(
        request.method,
        request.path,
        params=dict(request.params) or None,
        headers=dict(request.headers),
        content=request.content,
        timeout=httpx.Timeout(silence_s, connect=CONNECT_S)
        if silence_s is not None
        else _timeout(request.wait_s or None),
    )


def _answer(url: str, found: httpx.Response, *, refuse: bool) -> Answer:
    if refuse and found.status_code >= 400:
        raise error_of(found.status_code, found.content, found.headers)
    return Answer(url, found.status_code, found.headers, found.content)


def _broken(url: str, e: httpx.TransportError) -> StreamEnded:
    return StreamEnded(f"the stream from {url} broke: {e}.", hint="Begin it again.")


@contextmanager
def _explained(url: str) -> Iterator[None]:
    try:
        yield
    except httpx.TimeoutException as e:
        raise Unreachable(
            f"{url} did not answer in time.", hint="See `littoral status` at the node."
        ) from e
    except (httpx.TransportError, httpx.InvalidURL, httpx.UnsupportedProtocol) as e:
        raise Unreachable(
            f"there is no node at {url}: {str(e).rstrip('.')}.", hint=advice(e)
        ) from e


def advice(error: Exception) -> str:
    """What to do about an address where no node could be asked."""
    text = str(error)
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return "Put the file of the authority that signed its certificate into SSL_CERT_FILE."
    if "WRONG_VERSION_NUMBER" in text:
        return "Nobody speaks TLS there: write http://, or the address of the proxy that does."
    return "Start one with `littoral up`, or name yours with --url or LITTORAL_URL."
