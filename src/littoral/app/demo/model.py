"""What the demo is told, what its processes tell one another, and what it finds."""

import msgspec

TELEMETRY = "t"
EVENT = "e"


class DemoOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What ``littoral demo`` may be told."""

    devices: int = 200
    duration_s: float = 80.0
    """Of everything between "all is up" and the drain; the outage is part of it."""
    outage_s: float = 20.0
    rate_per_device: float = 5.0
    headless: bool = False
    json: bool = False
    keep_dir: str | None = None
    """Where to leave logs and data; None: a temporary directory that goes away."""


class DeviceSpec(msgspec.Struct, frozen=True):
    """One device of the fleet."""

    site: str
    name: str
    thing_id: str
    username: str
    password: str
    port: int
    """Of its site's MQTT door."""
    version: int
    kind: str
    """``shuttle`` or ``robot``."""
    seed: int


class FleetPlan(msgspec.Struct, frozen=True):
    """What the fleet's process reads from its standard input first."""

    devices: tuple[DeviceSpec, ...]
    rate_per_device: float
    data_file: str
    report_file: str


class FleetStatus(msgspec.Struct, frozen=True):
    """One line that the fleet's process writes twice a second, per site."""

    site: str
    devices: int
    connected: int
    published: int
    acknowledged: int
    in_flight: int
    waiting: int
    """Taken by devices but not sent yet."""
    resent: int
    commands: int
    reaction_p50_ms: float | None
    reaction_p99_ms: float | None


class FleetLine(msgspec.Struct, frozen=True):
    """All sites at one moment."""

    sites: tuple[FleetStatus, ...]
    drained: bool = False


class Acknowledged(msgspec.Struct, frozen=True):
    """The numbers of one device's messages that it saw acknowledged, and those that it did not."""

    thing_id: str
    numbers: tuple[int, ...]
    in_doubt: tuple[int, ...] = ()


class Reaction(msgspec.Struct, frozen=True):
    """A command that answered a reading: when it arrived and how long after the publishing."""

    site: str
    at_s: float
    """`time.monotonic`, the same clock in all processes of one machine."""
    latency_ms: float


class FleetReport(msgspec.Struct, frozen=True):
    """What the fleet leaves behind for the verdict."""

    acknowledged: tuple[Acknowledged, ...]
    reactions: tuple[Reaction, ...]
    resent: int
    commands: int
    dropped: int
    """Messages that a device never sent because its own memory was full."""
    problems: tuple[str, ...] = ()


class Stored(msgspec.Struct, frozen=True):
    """What the verdict needs to know of one record of the cloud's log."""

    seq: int
    origin: str
    oseq: int
    cls: int
    thing_id: str
    number: int | None
    """The device's message number; None for records that no device made."""


class Quantiles(msgspec.Struct, frozen=True):
    """Two points of a distribution; None if there was nothing to measure."""

    p50: float | None
    p99: float | None
    count: int = 0


class Counts(msgspec.Struct, frozen=True):
    """What the comparison of devices and cloud says."""

    acknowledged: int
    in_cloud: int
    lost: int
    duplicated: int
    out_of_order: int
    examples: tuple[str, ...] = ()
    """Some sentences about what is wrong, for whoever has to find it."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The demo's last word. ``ok`` says that nothing acknowledged was lost or stored twice."""

    ok: bool
    acknowledged: int
    in_cloud: int
    lost: int
    duplicated: int
    out_of_order: int
    reaction_ms: Quantiles
    catch_up_s: float | None
    messages_per_s: float
    catch_up_records: int | None = None
    catch_up_records_per_s: float | None = None
    reaction_all_ms: Quantiles | None = None
    devices: int = 0
    duration_s: float = 0.0
    outage_s: float = 0.0
    resent: int = 0
    commands: int = 0
    cloud_messages: int = 0
    """Sent in the cloud to robots at site two, all through, outages included."""
    cloud_messages_answered: int = 0
    site_restart_s: float | None = None
    """From SIGKILL of site one's node until it was ready again."""
    cloud_restart_s: float | None = None
    problems: tuple[str, ...] = ()
