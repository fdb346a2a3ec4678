"""The cloud's side of the real link: its CA, and the TLS listener for sites."""

from pathlib import Path

from littoral.app.world import parse_address
from littoral.edge import Enrolment
from littoral.edge.adapters.authority import AuthorityFiles, open_authority
from littoral.edge.adapters.websocket import WebSocketListener
from littoral.kernel.ids import NodeId
from littoral.kernel.time import Clock
from littoral.node import NodeConfig

AUTHORITY = "authority"


def open_files(config: NodeConfig, directory: Path, clock: Clock) -> AuthorityFiles:
    """The cloud's CA, made at the first start."""
    return open_authority(
        directory / AUTHORITY,
        node=NodeId(config.name),
        names=config.link.names,
        now_ms=clock.now_ms(),
    )


def listener(config: NodeConfig, files: AuthorityFiles, enrolment: Enrolment) -> WebSocketListener:
    """Where the cloud takes its sites."""
    host, port = parse_address(config.link.listen)
    return WebSocketListener(
        host=host,
        port=port,
        chain_path=files.chain_path,
        ca=files.authority.certificate,
        enrolment=enrolment,
    )
