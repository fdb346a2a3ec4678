"""A site's side of the real link: its identity, and its way to the cloud."""

from pathlib import Path

from littoral.edge import EnrolmentToken, Renewal, Smith
from littoral.edge.adapters.files import FileIdentity
from littoral.edge.adapters.websocket import WebSocketDialer
from littoral.kernel.time import Clock
from littoral.node import NodeConfig

IDENTITY = "identity"


def identity_of(directory: Path) -> FileIdentity:
    """Where a site keeps its key and certificate."""
    return FileIdentity(directory / IDENTITY)


def dialer_of(
    config: NodeConfig, store: FileIdentity, clock: Clock, token: EnrolmentToken | None
) -> WebSocketDialer:
    """A site's way to its cloud; enrols at the first time."""
    return WebSocketDialer(store=store, clock=clock, smith=_smith, token=token, url=config.link.url)


def renewal_of(store: FileIdentity, clock: Clock) -> Renewal:
    """Renews the site's certificate while it is connected."""
    return Renewal(store=store, smith=_smith, clock=clock)


def _smith() -> Smith:
    # cryptography costs 17 MB: loaded when something has to be signed, which is once a month.
    from littoral.edge.adapters.certificates import KeySmith

    return KeySmith()
