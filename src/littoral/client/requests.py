"""What is asked of a node, as values: addresses, parameters and headers. Pure; no transport."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypedDict
from urllib.parse import quote

import msgspec

MERGE_PATCH = "application/merge-patch+json"
V1 = "/api/littoral/v1"
EVENT_STREAM = "text/event-stream"

Json = object
"""What goes in: whatever msgspec can encode as JSON."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request to a node."""

    method: str
    path: str
    params: Mapping[str, str | int] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    wait_s: float | None = None
    """How long the node may take; None: the client's own bound."""


class Preconditions(TypedDict, total=False):
    """What has to hold for a request to be done."""

    if_match: str
    """An entity tag that must be there, or ``*``."""
    if_none_match: str
    """An entity tag that must not be there; ``*``: it must not exist."""
    condition: str
    """RQL about the thing as it is."""
    timeout_s: float
    """How long the node may take, at most 60; 0: no answer is wanted."""
    headers: Mapping[str, str]
    """Any others, as they are."""


class ReadOptions(Preconditions, total=False):
    """How something is read."""

    fields: str | Sequence[str]
    """What of it: Ditto's selector, or a sequence of such."""
    at_revision: int
    at_time: str
    """An instant in the past, as ISO 8601."""
    get_metadata: Sequence[str]
    live: bool
    """Ask the device itself."""
    live_if: str
    """Ask the device itself if this RQL holds for the twin."""
    or_twin: bool
    """If the device does not answer, tell what the twin has."""


class WriteOptions(Preconditions, total=False):
    """How something is written."""

    if_equal: str
    """``update``, ``skip`` or ``skip-minimizing-merge``."""
    merge_conditions: Mapping[str, str]
    """Pointer into the patch to the RQL under which that part is merged."""
    put_metadata: Mapping[str, Json]
    """Key to metadata: ``*/unit``, or the pointer of a leaf."""
    delete_metadata: Sequence[str]
    requested_acks: Sequence[str]
    """Labels that have to be given before the answer comes."""
    respond: bool
    """False: no answer is wanted."""
    live: bool
    """To the device itself, not to the twin."""
    allow_policy_lockout: bool


def params_of(options: ReadOptions) -> dict[str, str | int]:
    """The query of a read."""
    params: dict[str, str | int] = {}
    if "fields" in options:
        selected = options["fields"]
        params["fields"] = selected if isinstance(selected, str) else ",".join(selected)
    if "at_revision" in options:
        params["at-historical-revision"] = options["at_revision"]
    if "at_time" in options:
        params["at-historical-timestamp"] = options["at_time"]
    return params


def read_headers(options: ReadOptions) -> dict[str, str]:
    """The headers of a read."""
    headers = _preconditions(options)
    if options.get("get_metadata"):
        headers["get-metadata"] = ",".join(options["get_metadata"])
    if options.get("live"):
        headers["channel"] = "live"
    if "live_if" in options:
        headers["live-channel-condition"] = options["live_if"]
    if options.get("or_twin"):
        headers["live-channel-timeout-strategy"] = "use-twin"
    return headers


def write_headers(options: WriteOptions) -> dict[str, str]:
    """The headers of a write."""
    headers = _preconditions(options)
    if "if_equal" in options:
        headers["if-equal"] = options["if_equal"]
    if "merge_conditions" in options:
        headers["merge-thing-patch-conditions"] = encoded(options["merge_conditions"]).decode()
    if "put_metadata" in options:
        pairs = [{"key": k, "value": v} for k, v in options["put_metadata"].items()]
        headers["put-metadata"] = encoded(pairs).decode()
    if options.get("delete_metadata"):
        headers["delete-metadata"] = ",".join(options["delete_metadata"])
    if options.get("requested_acks"):
        headers["requested-acks"] = ",".join(options["requested_acks"])
    if "respond" in options:
        headers["response-required"] = "true" if options["respond"] else "false"
    if options.get("live"):
        headers["channel"] = "live"
    if options.get("allow_policy_lockout"):
        headers["allow-policy-lockout"] = "true"
    return headers


def _preconditions(options: Preconditions) -> dict[str, str]:
    headers = {k.lower(): v for k, v in options.get("headers", {}).items()}
    if "if_match" in options:
        headers["if-match"] = options["if_match"]
    if "if_none_match" in options:
        headers["if-none-match"] = options["if_none_match"]
    if "condition" in options:
        headers["condition"] = options["condition"]
    if "timeout_s" in options:
        headers["timeout"] = timeout_text(options["timeout_s"])
    return headers


def timeout_text(seconds: float) -> str:
    """A timeout as Ditto writes it."""
    return f"{int(seconds * 1000)}ms" if seconds else "0"


def encoded(value: object) -> bytes:
    """JSON."""
    return msgspec.json.encode(value)


def reading(path: str, options: ReadOptions) -> Request:
    """A GET."""
    return Request(
        "GET", path, params_of(options), read_headers(options), wait_s=options.get("timeout_s")
    )


def writing(method: str, path: str, value: object, options: WriteOptions) -> Request:
    """A PUT, POST, PATCH, or with `NOTHING` a DELETE."""
    headers = write_headers(options)
    content = None
    if value is not NOTHING:
        content = encoded(value)
        headers["content-type"] = MERGE_PATCH if method == "PATCH" else "application/json"
    return Request(method, path, {}, headers, content, options.get("timeout_s"))


NOTHING = msgspec.UNSET
"""No body; null is a body."""


def thing_address(thing_id: str, path: str = "/") -> str:
    """Where a thing is, or what is at ``path`` of it."""
    return _address("things", thing_id, path)


def policy_address(policy_id: str, path: str = "/") -> str:
    """Where a policy is, or what is at ``path`` of it."""
    return _address("policies", policy_id, path)


def _address(group: str, entity_id: str, path: str) -> str:
    base = f"/api/2/{group}/{quote(entity_id, safe=':')}"
    return base if path in {"", "/"} else f"{base}/{quote(path.strip('/'), safe='/:~')}"


def message_address(thing_id: str, subject: str, *, feature: str | None, direction: str) -> str:
    """Where messages to a thing or one of its features go."""
    part = f"/features/{quote(feature, safe='')}" if feature is not None else ""
    return f"{thing_address(thing_id)}{part}/{direction}/messages/{quote(subject)}"


def pointer(*keys: str) -> str:
    """A path out of keys, each escaped: ``pointer("features", "a/b", "properties")``."""
    return "/" + "/".join(key.replace("~", "~0").replace("/", "~1") for key in keys)


def search_form(
    *,
    query: str | None,
    namespaces: Sequence[str],
    fields: str | Sequence[str] | None = None,
    option: str = "",
) -> dict[str, str]:
    """The members of a search, for the query or the form."""
    form: dict[str, str] = {}
    if query is not None:
        form["filter"] = query
    if namespaces:
        form["namespaces"] = ",".join(namespaces)
    if fields is not None:
        form["fields"] = fields if isinstance(fields, str) else ",".join(fields)
    if option:
        form["option"] = option
    return form


def search_option(*, sort: Sequence[str], size: int | None, cursor: str = "") -> str:
    """``sort(…),size(…),cursor(…)``; a sort without a sign is ascending."""
    parts = []
    if sort:
        signed = [one if one[:1] in "+-" else f"+{one}" for one in sort]
        parts.append(f"sort({','.join(signed)})")
    if size is not None:
        parts.append(f"size({size})")
    if cursor:
        parts.append(f"cursor({cursor})")
    return ",".join(parts)
