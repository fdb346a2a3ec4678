"""How a function runs: its settings, its state and what it tells about itself."""

from dataclasses import dataclass
from enum import StrEnum

EVENTS_IN_FLIGHT_MAX = 256
"""Events handed to a worker that it has not finished; more stay in the log."""

BYTES_IN_FLIGHT_MAX = 2 * 1024 * 1024
"""Bytes of such events."""

EFFECTS_OPEN_MAX = 256
"""Merges and awaited commands that run at once for one function; above it the worker is not read."""

READ_RECORDS_MAX = 512
"""Records read from the log at once while catching up; about 1 ms of the loop."""

HANDED_OUT_MAX = 64
"""Events handed out in one turn of the loop: 1 to 2 ms, so that acknowledgements do not wait."""

ACKNOWLEDGE_EVERY_S = 1.0
"""How often the cursor is moved: what may be handled twice after a crash of the node."""

HEALTHY_S = 10.0
"""A worker that lived so long did not fail at its start: the next one is started soon."""

REPORTS_BURST = 5
"""Failures written to the log at once; beyond them one per `REPORT_EVERY_S`, with a count."""

REPORT_EVERY_S = 10.0


@dataclass(frozen=True, slots=True)
class FunctionSettings:
    """How a function is run. All times in seconds of the loop's clock."""

    deadline_s: float = 30.0
    """A handler that takes longer is ended, with its process."""
    start_s: float = 60.0
    """A file that takes longer to load is given up, and tried again."""
    attempts_max: int = 3
    """How often an event is tried that ends the worker; then it is skipped and reported."""
    backoff_s_min: float = 0.2
    backoff_s_max: float = 30.0


class FunctionState(StrEnum):
    """What a function is doing."""

    STARTING = "starting"
    RUNNING = "running"
    BROKEN = "broken"
    """Its file cannot be loaded; it waits to be reloaded."""
    BACKING_OFF = "backing_off"
    """Its worker ended; the next one is about to be started."""
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class FunctionStatistics:
    """Counters of one function since the node started."""

    name: str
    state: FunctionState
    problem: str
    """Why it is broken or backing off, or what the last failed handler raised; empty if nothing."""
    handlers: int
    in_flight: int
    lag_records: int
    """Committed records that it has not looked at yet."""
    events: int
    """Events handed to handlers, ticks included."""
    failed: int
    """Handlers that raised."""
    skipped: int
    """Events given up because they ended the worker again and again, and ticks left out."""
    restarts: int
    commands: int
    merges: int
    alarms: int
    refused: int
    """Effects that were refused: no permission, over a limit, nobody answered."""
    loops_cut: int
    """Merges refused because too many functions had written in answer to one another."""
    lost_records: int
    """Records that retention dropped before this function had looked at them."""
