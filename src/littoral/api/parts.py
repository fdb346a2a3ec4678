"""Everything of a node that the HTTP door talks to."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from littoral.api.model import NodeInfo
from littoral.eventing import Acknowledgements, Inbox, LiveChannel, Mailbox, Router
from littoral.identity import Identities
from littoral.kernel.time import Clock, Entropy
from littoral.log import Log
from littoral.registry import Registry
from littoral.search import Search
from littoral.twin import Twins


def _ready() -> str | None:
    return None


async def _at_once(seq: int) -> None:
    pass


def _no_sites() -> Mapping[str, object]:
    return {}


@dataclass(frozen=True, slots=True)
class ApiParts:
    """Given by `node.compose`; the door itself makes none of them."""

    twins: Twins
    registry: Registry
    identities: Identities
    router: Router
    inbox: Inbox
    log: Log
    clock: Clock
    entropy: Entropy
    node: NodeInfo
    acks: Acknowledgements = field(default_factory=Acknowledgements)
    live: LiveChannel = field(default_factory=LiveChannel)
    mailbox: Mailbox | None = None
    """Keeps messages for devices that are away; None: this node keeps none."""
    search: Search | None = None
    """None: the node keeps no index."""
    search_settled: Callable[[int], Awaitable[None]] = _at_once
    """Waits until a record is in the search index (``search-persisted``)."""
    statistics: Mapping[str, Callable[[], object]] = field(default_factory=dict)
    """Part (``log``, ``twins``, ``mqtt``) to what gives its statistics record, for /metrics."""
    not_ready: Callable[[], str | None] = _ready
    """Why the node cannot take requests now; None if it can."""
    link_status: Callable[[], Mapping[str, object]] = _no_sites
    """Site to what is known of it (link, session, flow, freshness), JSON-able; at a site: its link."""
    token_text: Callable[[str, str], str] | None = None
    """Site and the registry's secret to an enrolment token's text; None: nobody enrols here."""
    cors_origins: frozenset[str] = frozenset()
    """Origins whose pages browsers let read the API; ``*`` is any."""
    public_metrics: bool = False
    """Whether /metrics needs no administrator: only where the door listens on loopback."""
