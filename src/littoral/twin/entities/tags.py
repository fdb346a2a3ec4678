"""Entity tags, preconditions and provenance: small rules that things and policies share."""

from hashlib import blake2b

from littoral.kernel import json, pointer
from littoral.twin.errors import NotModified, PreconditionFailed
from littoral.twin.model import Caller, Conditions


def etag_of(keys: tuple[str, ...], value: object, revision: int) -> str:
    """The entity tag: the revision for a whole entity, a hash of the value for a part. Ditto §1.4."""
    if not keys:
        return f'"rev:{revision}"'
    return f'"hash:{blake2b(json.canonical(value), digest_size=8).hexdigest()}"'


def matches(header: str | None, tag: str) -> bool:
    """Whether ``tag`` is in a list of entity tags, by strong comparison; ``*`` is any that exists."""
    if header is None or not tag:
        return False
    return header.strip() == "*" or tag in (part.strip() for part in header.split(","))


def check_conditions(
    conditions: Conditions,
    keys: tuple[str, ...],
    current: object,
    revision: int,
    *,
    group: str = "things",
) -> None:
    """Raise `PreconditionFailed` unless a write at ``keys`` of ``current`` may go on."""
    if conditions.if_match is None and conditions.if_none_match is None:
        return
    try:
        tag = "" if current is None else etag_of(keys, pointer.get(current, keys), revision)
    except KeyError:
        tag = ""
    failed = (conditions.if_match is not None and not matches(conditions.if_match, tag)) or (
        conditions.if_none_match is not None and matches(conditions.if_none_match, tag)
    )
    if failed:
        raise PreconditionFailed(
            f"the state at {pointer.render(keys)} is {tag or 'absent'}.",
            code=f"{group}:precondition.failed",
            hint="Read it again, then decide.",
            etag=tag,
        )


def check_read(conditions: Conditions, tag: str, *, group: str = "things") -> None:
    """Raise `NotModified` or `PreconditionFailed` unless a read that found ``tag`` is to be answered."""
    if matches(conditions.if_none_match, tag):
        raise NotModified(
            "you have this already.", code=f"{group}:precondition.notmodified", etag=tag
        )
    if conditions.if_match is not None and not matches(conditions.if_match, tag):
        raise PreconditionFailed(
            f"the state is {tag}, not {conditions.if_match}.",
            code=f"{group}:precondition.failed",
            etag=tag,
        )


KEPT_HEADER = "kept"
"""Of a record: headers of the command that the operator wants to see in the history."""


def headers_of(caller: Caller) -> dict[str, object]:
    """What a record keeps of who wrote it."""
    headers: dict[str, object] = {}
    if caller.hops:
        headers["hops"] = caller.hops
    if caller.subjects:
        headers["by"] = caller.subject
    if caller.message_id:
        headers["id"] = caller.message_id
    return headers
