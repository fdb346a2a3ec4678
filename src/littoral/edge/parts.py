"""What every conversation of a node shares."""

from dataclasses import dataclass

from littoral.edge.inflow import Gate
from littoral.edge.meter import OwnRecords
from littoral.edge.model import LinkSettings
from littoral.edge.ports import LinkLog
from littoral.edge.refusals import Refusals
from littoral.edge.states import States
from littoral.kernel.time import Clock


@dataclass(frozen=True, slots=True)
class LinkParts:
    """What every conversation of a node shares."""

    log: LinkLog
    clock: Clock
    settings: LinkSettings
    own: OwnRecords
    refusals: Refusals
    gate: Gate
    software: str = ""
    states: States | None = None
