"""What a node answered, made into values or errors. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from littoral.client.errors import OF_STATUS, ApiError, NotANode
from littoral.client.model import MessageReply, Read, Written

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer without the library that brought it."""

    url: str
    status: int
    headers: Mapping[str, str]
    """With lower-case names."""
    content: bytes

    def json(self) -> Any:
        """The body; `NotANode` if it is none, so that a wrong address is told as such."""
        return decoded(self.url, self.content)


def decoded(url: str, body: bytes, kind: Any = Any) -> Any:
    """A JSON body; `NotANode` if it is none."""
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
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        document = None
    if isinstance(document, dict):
        return error_from(status, document, headers.get("correlation-id", ""))
    text = body[:200].decode(errors="replace").strip()
    kind = OF_STATUS.get(status, ApiError)
    return kind(
        status,
        "client.refused",
        f"the node answered {status}: {text}",
        correlation_id=headers.get("correlation-id", ""),
        body=document,
    )


def error_from(status: int, document: Mapping[str, object], correlation_id: str) -> ApiError:
    """The error that an error body stands for."""
    hint = str(document.get("description", ""))
    if status == 401 and not hint:
        hint = "Name your user with --user and --password, or LITTORAL_USER and LITTORAL_PASSWORD."
    message = str(document.get("message", f"the node answered {status}."))
    kind = OF_STATUS.get(status, ApiError)
    code = str(document.get("error", "client.refused"))
    return kind(status, code, message, hint, correlation_id, body=dict(document))


def written(answer: Answer) -> Written:
    """What a write came to."""
    value = answer.json() if answer.content else None
    return Written(
        created=answer.status == 201,
        etag=answer.headers.get("etag", ""),
        value=value if answer.status == 201 else None,
        acknowledgements=value if answer.status == 200 and isinstance(value, dict) else {},
        location=answer.headers.get("location", ""),
    )


def read(answer: Answer) -> Read:
    """What a read came to."""
    headers = answer.headers
    metadata = headers.get("ditto-metadata")
    return Read(
        value=answer.json() if answer.status != 304 and answer.content else None,
        etag=headers.get("etag", ""),
        not_modified=answer.status == 304,
        metadata=msgspec.json.decode(metadata) if metadata else None,
        live=headers.get("channel") == "live",
    )


def refusal(answer: Answer) -> ApiError | None:
    """The node's own refusal of a message; a device's answer is none, whatever its status."""
    if answer.status < 400 or answer.headers.get("littoral-answered-by") == "thing":
        return None
    return error_of(answer.status, answer.content, answer.headers)


def reply(answer: Answer) -> MessageReply:
    """What a device answered; raises the node's own refusal."""
    refused = refusal(answer)
    if refused is not None:
        raise refused
    return MessageReply(
        status=answer.status,
        payload=answer.content,
        content_type=answer.headers.get("content-type", ""),
    )


def next_page(answer: Answer) -> str:
    """The address in a ``Link`` with rel=next; empty if this was the last page."""
    for part in answer.headers.get("link", "").split(", <"):
        target, _, relation = part.partition(">")
        if 'rel="next"' in relation or "rel=next" in relation:
            return target.lstrip("<")
    return ""
