"""What is sent back: whole answers, problems, and streams."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from littoral.api.errors import CommandLate, MethodNotAllowed, PeerGone
from littoral.api.http.ports import Send
from littoral.api.model import STREAM_WRITE_S
from littoral.kernel import json
from littoral.kernel.errors import LittoralError, Unauthenticated
from littoral.twin.statuses import problem, status_of

JSON = "application/json"
NDJSON = "application/x-ndjson"


@dataclass(slots=True)
class Answer:
    """A whole answer. ``headers`` have lower-case names."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Stream:
    """An answer that is written piece by piece; it ends when the caller hangs up.

    ``heeds_hang_up``: nothing more is read from the caller, so that a hang-up is noticed at once.
    """

    pieces: AsyncIterator[bytes]
    content_type: str
    heeds_hang_up: bool = True


def json_answer(value: object, *, status: int = 200, etag: str | None = None) -> Answer:
    """An answer with a JSON body."""
    headers = {"content-type": JSON}
    if etag:
        headers["etag"] = etag
    return Answer(status, json.encode(value), headers)


def empty_answer(status: int = 204, *, etag: str | None = None) -> Answer:
    """An answer without a body."""
    return Answer(status, b"", {"etag": etag} if etag else {})


def problem_answer(error: LittoralError) -> Answer:
    """The answer that says why not."""
    status = status_of(error)
    if status == 304:
        etag = error.facts.get("etag")
        return empty_answer(304, etag=etag if isinstance(etag, str) else None)
    answer = json_answer(problem(error), status=status)
    if isinstance(error, MethodNotAllowed):
        answer.headers["allow"] = ", ".join(error.allow)
    elif isinstance(error, CommandLate):
        answer.headers |= error.headers
    elif isinstance(error, Unauthenticated):
        answer.headers["www-authenticate"] = 'Basic realm="littoral", charset="UTF-8"'
    return answer


async def send_answer(
    send: Send, answer: Answer, *, more: dict[str, str], head_only: bool = False
) -> None:
    """Write a whole answer."""
    raw = [
        (name.encode("latin-1"), value.encode("latin-1", "replace"))
        for name, value in answer.headers.items()
    ]
    raw += [(name.encode("latin-1"), value.encode("latin-1")) for name, value in more.items()]
    bodiless = answer.status in {204, 304}
    if not bodiless:
        raw.append((b"content-length", b"%d" % len(answer.body)))
    await send({"type": "http.response.start", "status": answer.status, "headers": raw})
    body = b"" if head_only or bodiless else answer.body
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def send_stream(send: Send, stream: Stream, *, more: dict[str, str]) -> None:
    """Write a stream to its end, at the speed at which it is taken; `PeerGone` if it is not."""
    headers = {"content-type": stream.content_type, "cache-control": "no-store"} | more
    raw = [(k.encode("latin-1"), v.encode("latin-1")) for k, v in headers.items()]
    await send({"type": "http.response.start", "status": 200, "headers": raw})
    async for piece in stream.pieces:
        try:
            async with asyncio.timeout(STREAM_WRITE_S):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        except TimeoutError:
            raise PeerGone from None
    await send({"type": "http.response.body", "body": b"", "more_body": False})
