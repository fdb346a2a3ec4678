"""What a node tells, as frozen values. Unknown members are ignored: newer nodes may say more."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec


class Answer(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The base of answers."""


class ApplyResult(Answer, frozen=True, rename="camel", kw_only=True):
    """What became of one manifest."""

    kind: str = ""
    name: str = ""
    result: str
    """``created``, ``ok`` (changed), ``unchanged`` or ``error``."""
    error: str = ""
    """The code, if it is an error."""
    message: str = ""
    description: str = ""

    @property
    def is_error(self) -> bool:
        """True if the manifest was refused."""
        return self.result == "error"


class TenantInfo(Answer, frozen=True, rename="camel", kw_only=True):
    """A tenant."""

    id: str
    namespaces: tuple[str, ...]
    default_policy: str = ""
    enabled: bool = True


class DeviceInfo(Answer, frozen=True, rename="camel", kw_only=True):
    """A device."""

    tenant: str
    id: str
    thing_id: str
    enabled: bool = True


class SiteInfo(Answer, frozen=True, rename="camel", kw_only=True):
    """A site, and what the cloud knows of its link: an empty mapping means never seen."""

    name: str
    tenants: tuple[str, ...] = ()
    enrolled: bool = False
    revoked: bool = False
    link: dict[str, object] = {}  # msgspec copies it


class Incident(Answer, frozen=True, rename="camel", kw_only=True):
    """What was overruled (``conflict``), dropped (``loss``), missed (``gap``) or given back (``rollback``)."""

    seq: int
    kind: str
    at: str
    node: str
    """Where it happened."""
    thing_id: str = ""
    path: str = ""
    details: Any = None


class TokenInfo(Answer, frozen=True, rename="camel", kw_only=True):
    """A one-time enrolment token; it is shown this once."""

    token: str
    site: str
    expires: str


class MessageReply(Answer, frozen=True, rename="camel", kw_only=True):
    """What a device answered; the status is its own choice."""

    status: int
    payload: bytes = b""
    content_type: str = ""

    def json(self) -> object:
        """The payload as parsed JSON."""
        return msgspec.json.decode(self.payload)


class ApiKeyInfo(Answer, frozen=True, rename="camel", kw_only=True):
    """An API key; ``key`` is the secret, and there only when it was just made."""

    id: str
    subjects: tuple[str, ...]
    roles: tuple[str, ...] = ()
    comment: str = ""
    created: str = ""
    expires: str | None = None
    key: str = ""


class UserInfo(Answer, frozen=True, rename="camel", kw_only=True):
    """A user."""

    name: str
    subjects: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()


class WhoAmI(Answer, frozen=True, rename="camel", kw_only=True):
    """Under which subjects the node knows who asks."""

    default_subject: str
    subjects: tuple[str, ...] = ()


class Mail(Answer, frozen=True, rename="camel", kw_only=True):
    """A message that waits for its device."""

    message_id: str
    subject: str
    feature_id: str | None = None
    content_type: str = ""
    correlation_id: str = ""
    sender: str = ""
    kept: str = ""
    expires: str = ""
    offered: int = 0
    value: Any = None


@dataclass(frozen=True, slots=True)
class Written:
    """What a write came to."""

    created: bool
    etag: str = ""
    value: Any = None
    """What was created; None if something that was there was changed."""
    acknowledgements: Mapping[str, Any] = field(default_factory=dict)
    """Label to ``{status, payload, headers}``, if several were asked for."""
    location: str = ""

    @property
    def revision(self) -> int | None:
        """The revision of the whole thing or policy; None if a part was written."""
        return _revision(self.etag)


@dataclass(frozen=True, slots=True)
class Read:
    """A value and what is said about it."""

    value: Any
    etag: str = ""
    not_modified: bool = False
    """The entity tag that was given still holds; there is no value."""
    metadata: Any = None
    live: bool = False
    """The device itself answered."""

    @property
    def revision(self) -> int | None:
        """The revision of the whole thing or policy; None if a part was read."""
        return _revision(self.etag)


def _revision(etag: str) -> int | None:
    number = etag.removeprefix('"rev:').removesuffix('"')
    return int(number) if number.isascii() and number.isdigit() else None


@dataclass(frozen=True, slots=True)
class Check:
    """A question about permissions: may I ``rights`` on ``resource`` of ``entity_id``?"""

    entity_id: str
    resource: str
    rights: tuple[str, ...] = ("READ",)


@dataclass(frozen=True, slots=True)
class Signal:
    """A message of the Ditto Protocol: a change, a message, a command, an answer."""

    topic: str
    path: str
    value: Any = None
    headers: Mapping[str, Any] = field(default_factory=dict)
    status: int | None = None
    revision: int | None = None
    timestamp: str = ""
    extra: Any = None
    """What was asked for with ``extra_fields``."""

    @property
    def entity_id(self) -> str:
        """The thing or policy that it is about."""
        namespace, name, *_ = (*self.topic.split("/"), "", "")
        return f"{'' if namespace == '_' else namespace}:{name}"

    @property
    def criterion(self) -> str:
        """``events``, ``messages``, ``commands``, ``acks``, ``errors``, and so on."""
        parts = self.topic.split("/")
        at = 3 if parts[2:3] == ["policies"] else 4
        return parts[at] if len(parts) > at else ""

    @property
    def action(self) -> str:
        """What happened or is asked; of a message its subject, of an ack its label."""
        parts = self.topic.split("/")
        at = 4 if parts[2:3] == ["policies"] else 5
        return "/".join(parts[at:])

    @property
    def channel(self) -> str:
        """``twin`` or ``live``."""
        parts = self.topic.split("/")
        return parts[3] if parts[2:3] == ["things"] and len(parts) > 3 else "twin"

    @property
    def correlation_id(self) -> str:
        """What ties it to its cause and its answer."""
        return str(self.headers.get("correlation-id", ""))


class SearchPage(Answer, frozen=True, rename="camel", kw_only=True):
    """A page of what was found."""

    items: list[Any]
    cursor: str | None = None
    """What the next page is asked for with; None: this is the last."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure that is asked for: ``Metric("avg", "features/t/properties/temp")``."""

    figure: str
    """``count``, ``sum``, ``avg``, ``min``, ``max`` or ``percentile``."""
    property: str = ""
    name: str = ""
    """What it is called in the answer; empty: ``avg(…)``."""
    percent: float = 50.0
    """For ``percentile``."""


class Group(Answer, frozen=True, rename="camel", kw_only=True):
    """The figures of the things that have the same ``keys``."""

    keys: dict[str, Any]
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """One command of a transaction."""

    action: str
    """``create``, ``modify``, ``merge`` or ``delete``."""
    thing_id: str
    value: Any = None
    path: str = "/"
    headers: Mapping[str, Any] = field(default_factory=dict)
    """Preconditions and metadata, by Ditto's names."""


class StepResult(Answer, frozen=True, rename="camel", kw_only=True):
    """What one command of a transaction came to."""

    thing_id: str
    path: str = "/"
    status: int = 0
    revision: int = 0
    etag: str = ""


class BulkReport(Answer, frozen=True, rename="camel", kw_only=True):
    """What became of the things that a bulk found."""

    matched: int
    changed: int
    unchanged: int = 0
    refused: int = 0
    refused_by_code: dict[str, int] = {}  # msgspec copies it
    refusals: list[dict[str, Any]] = []
    sample: list[str] = []
    stopped: str = ""
    """Why it ended early; empty if it did not."""
    dry_run: bool = False


class Decision(Answer, frozen=True, rename="camel", kw_only=True):
    """A decision of a policy, and which of its entries made it."""

    allowed: bool
    because: str
    policy_id: str = ""
    granted_by: list[dict[str, Any]] = []
    revoked_by: list[dict[str, Any]] = []
