"""The public Python SDK: a node's twins, policies, search, messages, events, history, registry.

    >>> from littoral.client import Client, rql
    >>> with Client(url, user="ditto", password="ditto") as client:
    ...     made = client.things.put("org.littoral:sdk", {"attributes": {"site": "front-door"}})
    ...     client.things.get("org.littoral:sdk", "/attributes/site")
    ...     [thing["thingId"] for thing in client.search.things(rql.eq("attributes/site", "front-door"))]
    'front-door'
    ['org.littoral:sdk']

`AsyncClient` is the same for asyncio: every method is awaited, every iterator is asynchronous.
Events, live commands and acknowledgements come over a session:

    >>> with Client(url, user="ditto", password="ditto") as client, client.session() as session:
    ...     session.follow_events(rql.like("resource:path", "/attributes*"))
    ...     written = session.put("org.littoral:sdk", "s2", "/attributes/site")
    ...     event = session.receive(timeout_s=5)
    ...     event.action, event.path, event.value
    ('modified', '/attributes/site', 's2')

docs/howto/use-the-python-sdk.md has the rest. Tables need ``littoral[dataframe]``.

Invariant: nothing but `ClientError`s comes out of a call; each says what to do next.
"""

from littoral.client import rql
from littoral.client.aio import AsyncClient, AsyncSession
from littoral.client.answers import Answer
from littoral.client.errors import (
    AlreadyThere,
    ApiError,
    Busy,
    ClientError,
    ConditionFailed,
    InvalidRequest,
    NoAnswer,
    NotAcknowledged,
    NotAllowed,
    NotANode,
    NotAuthenticated,
    NotThere,
    StreamEnded,
    TooMuch,
    Unreachable,
)
from littoral.client.frames import NoPandas
from littoral.client.model import (
    ApiKeyInfo,
    ApplyResult,
    BulkReport,
    Check,
    Decision,
    DeviceInfo,
    Group,
    Incident,
    Mail,
    MessageReply,
    Metric,
    Read,
    SearchPage,
    Signal,
    SiteInfo,
    Step,
    StepResult,
    TenantInfo,
    TokenInfo,
    UserInfo,
    WhoAmI,
    Written,
)
from littoral.client.requests import ReadOptions, Request, WriteOptions, pointer
from littoral.client.sync import Client, Session

__all__ = [
    "AlreadyThere",
    "Answer",
    "ApiError",
    "ApiKeyInfo",
    "ApplyResult",
    "AsyncClient",
    "AsyncSession",
    "BulkReport",
    "Busy",
    "Check",
    "Client",
    "ClientError",
    "ConditionFailed",
    "Decision",
    "DeviceInfo",
    "Group",
    "Incident",
    "InvalidRequest",
    "Mail",
    "MessageReply",
    "Metric",
    "NoAnswer",
    "NoPandas",
    "NotANode",
    "NotAcknowledged",
    "NotAllowed",
    "NotAuthenticated",
    "NotThere",
    "Read",
    "ReadOptions",
    "Request",
    "SearchPage",
    "Session",
    "Signal",
    "SiteInfo",
    "Step",
    "StepResult",
    "StreamEnded",
    "TenantInfo",
    "TokenInfo",
    "TooMuch",
    "Unreachable",
    "UserInfo",
    "WhoAmI",
    "WriteOptions",
    "Written",
    "pointer",
    "rql",
]
