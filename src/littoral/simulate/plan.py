"""What will happen in a world, drawn from its seed before it begins; so that a trace can be read."""

import random
from dataclasses import dataclass
from enum import StrEnum

from littoral.kernel.limits import SKEW_MS_MAX
from littoral.simulate.network import Conditions

CLOUD = "cloud"

FAR_MS = 2 * SKEW_MS_MAX
"""How wrong clocks are where they are so wrong that the link refuses their stamps."""


class Trouble(StrEnum):
    """The faults there are."""

    CUT_LINK = "cut the link of"
    CUT_DEVICES = "cut the devices of"
    RESET_LINK = "reset the link of"
    RESET_DEVICES = "reset the devices of"
    POWER_CUT = "cut the power of"
    POWER_CUT_AT_WRITE = "cut the power, in the middle of a write, of"
    KILL = "kill the node of"
    CLOCK_JUMP = "set the clock of"
    DISK_FULL = "fill the disk of"
    SYNC_FAILS = "let a sync fail at"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong, and for how long."""

    at_s: float
    trouble: Trouble
    host: str
    lasts_s: float = 0.0
    amount: int = 0
    """Operations until the power goes, ms by which a clock jumps, or bytes that a disk has left."""

    def __str__(self) -> str:
        amount = f" ({self.amount:+d})" if self.amount else ""
        lasts = f" for {self.lasts_s:.1f} s" if self.lasts_s else ""
        return f"{self.at_s:6.2f} s {self.trouble} {self.host}{lasts}{amount}"


@dataclass(frozen=True, slots=True)
class Write:
    """Something that a person writes, at a node, to a thing."""

    at_s: float
    host: str
    thing: str
    path: str
    value: object
    """None deletes."""
    token: str
    """A word in the value that occurs nowhere else, so that it can be found again."""
    is_merge: bool


@dataclass(frozen=True, slots=True)
class Command:
    """Something that a person asks a device to do, from the cloud."""

    at_s: float
    thing: str
    number: int


@dataclass(frozen=True, slots=True)
class Letter:
    """Something that a device is to do sooner or later: a message that is kept for it."""

    at_s: float
    host: str
    thing: str
    number: int
    wants_answer: bool


@dataclass(frozen=True, slots=True)
class Publish:
    """Something that a device has to say."""

    at_s: float
    topic: str
    kind: str
    """``object``, ``nested``, ``null``, ``text`` or ``bytes``."""
    feature: int
    with_time: bool


@dataclass(frozen=True, slots=True)
class DevicePlan:
    """A device, and what it will say."""

    name: str
    site: str
    thing: str
    version: int
    publishes: tuple[Publish, ...]


@dataclass(frozen=True, slots=True)
class HostPlan:
    """A node's clock and the paths around it."""

    name: str
    namespace: str
    skew_ms: int
    drift_ppm: float
    commit_s_max: float
    """The longest commit of its disk."""
    to_cloud: Conditions
    to_devices: Conditions


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole world."""

    seed: int
    hosts: tuple[HostPlan, ...]
    devices: tuple[DevicePlan, ...]
    faults: tuple[Fault, ...]
    writes: tuple[Write, ...]
    commands: tuple[Command, ...]
    letters: tuple[Letter, ...]
    lasts_s: float
    """When the faults end."""
    ends_cleanly: bool
    """Whether the nodes are stopped in order, or lose power, before they are judged again."""


def draw(seed: int, *, sites: int = 2, far_clocks: bool = False) -> Plan:
    """Draw a world; the same seed is the same world.

    Args:
        seed: which one.
        sites: besides the cloud.
        far_clocks: whether a clock may be so wrong that its stamps are refused.
    """
    source = random.Random(f"plan {seed}")
    lasts_s = source.uniform(4.0, 20.0)
    hosts = tuple(
        _host(source, CLOUD if n == 0 else f"site-{n}", f"s{n}", far_clocks=far_clocks)
        for n in range(sites + 1)
    )
    faults = [_fault(source, hosts, lasts_s) for _ in range(source.randint(1, 6))]
    moments = _Moments(source, lasts_s, [fault.at_s for fault in faults])
    devices = tuple(
        _device(source, host, n, moments) for host in hosts[1:] for n in range(source.randint(1, 2))
    )
    things = [device.thing for device in devices]
    writes = [_write(source, n, devices, moments) for n in range(source.randint(2, 12))]
    return Plan(
        seed=seed,
        hosts=hosts,
        devices=devices,
        faults=tuple(sorted(faults, key=lambda fault: fault.at_s)),
        writes=tuple(sorted(writes, key=lambda write: write.at_s)),
        commands=tuple(
            Command(moments.draw(), source.choice(things), n) for n in range(source.randint(0, 4))
        ),
        letters=_letters(seed, devices, lasts_s),
        lasts_s=lasts_s,
        ends_cleanly=source.random() < 0.3,
    )


class _Moments:
    """When things happen: at any time, or together, just where something goes wrong."""

    def __init__(self, source: random.Random, lasts_s: float, faults_s: list[float]) -> None:
        self._source = source
        self._lasts_s = lasts_s
        self._faults_s = faults_s

    def draw(self) -> float:
        if self._source.random() < 0.5:
            return self._source.uniform(0.0, self._lasts_s)
        at_s = self._source.choice(self._faults_s) + self._source.uniform(-0.3, 0.3)
        return min(max(at_s, 0.0), self._lasts_s)


def _host(source: random.Random, name: str, namespace: str, *, far_clocks: bool) -> HostPlan:
    far_ms = FAR_MS if far_clocks else 120_000
    skew_ms = source.choice((0, 0, source.randint(-3000, 3000), source.randint(-far_ms, far_ms)))
    return HostPlan(
        name,
        namespace,
        skew_ms,
        source.uniform(-200.0, 200.0),
        source.choice((0.005, 0.02, 0.3)),
        _conditions(source, 0.08),
        _conditions(source, 0.02),
    )


def _conditions(source: random.Random, latency_s: float) -> Conditions:
    bad = source.random() < 0.5
    return Conditions(
        latency_s=source.uniform(0.0005, latency_s),
        jitter_s=source.uniform(0.0, latency_s),
        loss=source.uniform(0.0, 0.2) if bad else 0.0,
        bytes_per_s=source.choice((None, 200_000.0, 20_000.0)),
        fragmented=source.choice((0.0, 0.3)),
    )


def _device(source: random.Random, host: HostPlan, number: int, moments: _Moments) -> DevicePlan:
    name = f"{host.namespace}:d{number}" if source.random() < 0.5 else f"d{number}"
    thing = name if ":" in name else f"{host.namespace}:{name}"
    count = source.randint(3, 20)
    burst = source.random() < 0.3
    start_s = moments.draw()
    times = sorted(start_s if burst else moments.draw() for _ in range(count))
    return DevicePlan(
        name,
        host.name,
        thing,
        source.choice((4, 5)),
        tuple(
            Publish(
                at_s,
                source.choice(("telemetry", "telemetry", "t", "event", "e")),
                source.choice(("object", "object", "object", "nested", "null", "text", "bytes")),
                source.randint(0, 1),
                source.random() < 0.3,
            )
            for at_s in times
        ),
    )


_PATHS = (
    "/attributes/mode",
    "/attributes/mode",
    "/attributes/place/room",
    "/attributes/place",
    "/attributes",
    "/features/f0/desiredProperties/speed",
    "/features/f0/desiredProperties",
    "/features/f0/properties/n",
    "/features/f1",
    "/features",
    "/",
)


def _write(
    source: random.Random, number: int, devices: tuple[DevicePlan, ...], moments: _Moments
) -> Write:
    device = source.choice(devices)
    path = source.choice(_PATHS)
    token = f"w{number}"
    depth = {
        "/attributes": {"place": {"room": token}},
        "/attributes/place": {"room": token, "floor": number},
        "/features": {"f1": {"properties": {"by": token}}},
        "/features/f1": {"properties": {"by": token}, "desiredProperties": {"x": number}},
        "/features/f0/desiredProperties": {"speed": token},
        "/": {"attributes": {"mode": token}},
    }
    value: object = depth.get(path, token)
    is_merge = path == "/" or source.random() < 0.4
    if path != "/" and source.random() < 0.15:
        value = None
    host = source.choice((CLOUD, device.site))
    return Write(moments.draw(), host, device.thing, path, value, token, is_merge)


def _letters(seed: int, devices: tuple[DevicePlan, ...], lasts_s: float) -> tuple[Letter, ...]:
    # From a source of their own: worlds that are known by their seeds stay what they were.
    source = random.Random(f"letters {seed}")
    letters: list[Letter] = []
    for number in range(source.randint(0, 6)):
        device = source.choice(devices)
        host = source.choice((CLOUD, device.site))
        at_s = source.uniform(0.0, lasts_s)
        letters.append(Letter(at_s, host, device.thing, number, source.random() < 0.6))
    return tuple(letters)


def _fault(source: random.Random, hosts: tuple[HostPlan, ...], lasts_s: float) -> Fault:
    trouble = source.choice(list(Trouble))
    at_s = source.uniform(0.0, lasts_s)
    host = source.choice(hosts)
    match trouble:
        case Trouble.CUT_LINK | Trouble.CUT_DEVICES | Trouble.RESET_LINK | Trouble.RESET_DEVICES:
            site = source.choice(hosts[1:])
            return Fault(at_s, trouble, site.name, source.uniform(0.2, 15.0))
        case Trouble.POWER_CUT_AT_WRITE:
            lasts = source.uniform(0.1, 5.0)
            return Fault(at_s, trouble, host.name, lasts, source.randint(1, 60))
        case Trouble.POWER_CUT | Trouble.KILL:
            return Fault(at_s, trouble, host.name, source.uniform(0.1, 5.0))
        case Trouble.CLOCK_JUMP:
            # Several of them together stay below what the link refuses.
            amount = source.choice((source.randint(-5000, 5000), source.randint(-25_000, 25_000)))
            return Fault(at_s, trouble, host.name, amount=amount)
        case Trouble.DISK_FULL:
            lasts = source.uniform(0.5, 8.0)
            return Fault(at_s, trouble, host.name, lasts, source.randint(0, 20_000))
        case Trouble.SYNC_FAILS:
            return Fault(at_s, trouble, host.name)
