"""The checkers: what a quiet world must look like, whatever it went through.

Each finding is one sentence; no finding is the verdict. Nothing here asks the code under test for
its opinion where the log can be read instead.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from littoral.kernel import json
from littoral.log import Log, Record
from littoral.node import Node
from littoral.simulate.devices import VirtualDevice
from littoral.simulate.machine import Machine
from littoral.simulate.plan import Letter, Plan, Write

LETTER = "letter"
"""The subject of messages that are kept; devices carry them out like commands."""

_READ_EACH = 1000
_TOKEN = re.compile(rb'"(w[0-9]+)"')


class Judged(Protocol):
    """What a checker sees of a world."""

    plan: Plan
    devices: dict[str, VirtualDevice]
    written: list[Write]
    answered: list[int]
    promised: list[Letter]

    @property
    def cloud(self) -> Machine: ...
    @property
    def sites(self) -> list[Machine]: ...


@dataclass(slots=True)
class Verdict:
    """What was found, and how much there was to look at."""

    seed: int
    findings: list[str] = field(default_factory=list)
    acknowledged: int = 0
    records: int = 0
    boots: int = 0
    conflicts: int = 0
    answered: int = 0
    letters: int = 0
    documents: dict[str, bytes] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def find(self, sentence: str) -> None:
        """Note down something that must not be."""
        self.findings.append(sentence)

    def __str__(self) -> str:
        if self.ok:
            return f"seed {self.seed}: fine"
        return "\n".join([f"seed {self.seed}:", *(f"  {one}" for one in self.findings)])


def judge(world: Judged) -> Verdict:
    """Look at everything, while the nodes run."""
    verdict = Verdict(world.plan.seed)
    cloud = _node(world.cloud)
    cloud_records = records_of(cloud.log, world.cloud.committed)
    verdict.records = len(cloud_records)
    verdict.boots = sum(m.boots for m in (world.cloud, *world.sites))
    verdict.answered = len(world.answered)
    verdict.conflicts = sum(record.kind == "thing.conflict" for record in cloud_records)
    check_log(verdict, "cloud", cloud_records)
    check_devices(verdict, "cloud", cloud_records, world.devices)
    for site in world.sites:
        node = _node(site)
        records = records_of(node.log, site.committed)
        check_log(verdict, site.name, records)
        check_arrived(verdict, site.name, records, cloud_records)
        namespace = next(h.namespace for h in world.plan.hosts if h.name == site.name)
        check_scope(verdict, site.name, records, namespace)
        mine = {t: d for t, d in world.devices.items() if t.startswith(f"{namespace}:")}
        check_devices(verdict, site.name, records, mine)
        check_replicas(verdict, site.name, cloud, node, namespace)
        check_registry(verdict, site.name, cloud, node, f"T{namespace}")
    check_writes(verdict, world, cloud_records)
    check_commands(verdict, world)
    check_letters(verdict, world)
    verdict.documents = documents_of(world)
    return verdict


def judge_memory(world: Judged, verdict: Verdict) -> None:
    """Look again after every node was restarted: what is read from disk is what was in memory."""
    for name, document in documents_of(world).items():
        if verdict.documents.get(name) != document:
            verdict.find(
                f"after a restart {name} is {document!r}, before it was "
                f"{verdict.documents.get(name)!r}"
            )


def records_of(log: Log, gone: Mapping[int, Record]) -> list[Record]:
    """Everything that a log holds, and what it has held: ``gone`` by seq."""
    found = dict(gone)
    last = 0
    while page := log.read(last, limit=_READ_EACH):
        found.update((record.seq, record) for record in page)
        last = page[-1].seq
    return [found[seq] for seq in sorted(found)]


def documents_of(world: Judged) -> dict[str, bytes]:
    """Every thing at every node where it should be, in canonical form."""
    found = {}
    for machine in (world.cloud, *world.sites):
        node = _node(machine)
        for thing_id in node.twins.list_ids():
            found[f"{thing_id} at {machine.name}"] = _document(node, thing_id)
    return found


def check_log(verdict: Verdict, name: str, records: Iterable[Record]) -> None:
    """Identities are unique; revisions have no gap; each record knows the one before it."""
    seen: set[tuple[str, int]] = set()
    last: dict[str, tuple[int, int]] = {}
    position = 0
    for record in records:
        if record.seq <= position:
            verdict.find(f"{name}: seq {record.seq} comes after {position}")
        position = record.seq
        identity = (record.origin, record.oseq)
        if identity in seen:
            verdict.find(f"{name}: {identity} is stored twice")
        seen.add(identity)
        if record.revision == 0:
            continue
        revision, seq = last.get(record.entity, (0, 0))
        if record.entity.startswith(("thing:", "policy:")):
            if record.revision != revision + 1:
                verdict.find(
                    f"{name}: {record.entity} goes from revision {revision} to {record.revision} "
                    f"at {record.seq}"
                )
            if record.prev_seq != seq:
                verdict.find(
                    f"{name}: {record.entity} revision {record.revision} says that {record.prev_seq} "
                    f"was before it, and {seq} was"
                )
        last[record.entity] = (record.revision, record.seq)


def check_devices(
    verdict: Verdict, name: str, records: Sequence[Record], devices: dict[str, VirtualDevice]
) -> None:
    """Everything acknowledged is there exactly once, as it was sent, in the order it was sent."""
    found: dict[str, list[Record]] = defaultdict(list)
    restamped = {_restamped(record) for record in records}
    for record in records:
        # Where a record was stamped anew, the old one and the new one are the same thing.
        if f"{record.origin}:{record.oseq}" in restamped:
            continue
        if record.headers and "id" in record.headers and record.entity.startswith("thing:"):
            found[record.entity[6:]].append(record)
    for thing_id, device in devices.items():
        counts = Counter(_number(record) for record in found[thing_id])
        sent = device.memory.acknowledged
        verdict.acknowledged += len(sent)
        for number, message in sent.items():
            if counts[number] != 1:
                verdict.find(
                    f"{name}: {thing_id} m{number} was acknowledged and is there {counts[number]} times"
                )
            elif not any(
                r.value == message.payload for r in found[thing_id] if _number(r) == number
            ):
                verdict.find(f"{name}: {thing_id} m{number} is not what was sent")
        for number, count in counts.items():
            if count > 1 and number not in sent:
                verdict.find(f"{name}: {thing_id} m{number} is there {count} times")
        check_order(verdict, f"{name}: {thing_id}", found[thing_id], device.memory.refused)


def check_order(
    verdict: Verdict, name: str, records: Iterable[Record], refused: Container[int]
) -> None:
    """What a device sent comes in the order it was sent, class by class.

    What was refused at first (a full disk) is sent again behind what came after it; so is what
    has to be stamped anew.
    """
    newest: dict[int, int] = {}
    for record in records:
        number = _number(record)
        if number in refused or (record.headers and "restamped" in record.headers):
            continue
        before = newest.get(record.cls, 0)
        if number < before:
            verdict.find(f"{name} m{number} comes after m{before} (class {record.cls})")
        newest[record.cls] = number


def check_arrived(
    verdict: Verdict, name: str, records: Iterable[Record], cloud: Sequence[Record]
) -> None:
    """The cloud holds every record of the site's things, unchanged."""
    restamped = {_restamped(record) for record in cloud}
    there = {(record.origin, record.oseq): record for record in cloud}
    for record in records:
        if not record.entity.startswith(("thing:", "policy:")) or _is_told(record):
            continue
        twin = there.get((record.origin, record.oseq))
        if twin is None and f"{record.origin}:{record.oseq}" in restamped:
            continue
        if twin is None:
            verdict.find(f"{name}: {_named(record)} is not in the cloud")
        elif _content(twin) != _content(record):
            verdict.find(
                f"{name}: {_named(record)} is {_content(record)}, in the cloud {_content(twin)}"
            )


def check_scope(verdict: Verdict, name: str, records: Iterable[Record], namespace: str) -> None:
    """A site holds nothing of other sites' things."""
    for record in records:
        prefix, _, entity = record.entity.partition(":")
        if prefix in ("thing", "policy") and not entity.startswith(f"{namespace}:"):
            verdict.find(f"{name}: holds {_named(record)}, which is none of its business")


def check_replicas(verdict: Verdict, name: str, cloud: Node, site: Node, namespace: str) -> None:
    """Things and policies of the site are equal there and in the cloud."""
    for thing_id in {*_things(site, namespace), *_things(cloud, namespace)}:
        here, there = _document(site, thing_id), _document(cloud, thing_id)
        if here != there:
            verdict.find(f"{thing_id} is {here!r} at {name}, and {there!r} in the cloud")
    policies = {
        policy_id
        for node in (site, cloud)
        for policy_id in node.twins.policy_ids(namespaces=[namespace])
    }
    for policy_id in policies:
        if site.twins.peek_policy(policy_id) != cloud.twins.peek_policy(policy_id):
            verdict.find(f"the policy {policy_id} at {name} is not that in the cloud")


def check_registry(verdict: Verdict, name: str, cloud: Node, site: Node, tenant: str) -> None:
    """A site knows of its tenant, and of its devices, what the cloud knows."""
    here, there = site.registry, cloud.registry
    if here.tenant(tenant) != there.tenant(tenant):
        verdict.find(f"the tenant {tenant} at {name} is not that in the cloud")
    if here.devices(tenant) != there.devices(tenant):
        verdict.find(f"the devices of {tenant} at {name} are not those in the cloud")
    for device in there.devices(tenant):
        if here.credentials(tenant, device.id) != there.credentials(tenant, device.id):
            verdict.find(f"the credentials of {device.id} at {name} are not those in the cloud")


def check_writes(verdict: Verdict, world: Judged, cloud: Sequence[Record]) -> None:
    """What people were told is done is there, once."""
    counts: Counter[tuple[str, str]] = Counter()
    restamped = {_restamped(record) for record in cloud}
    for record in cloud:
        if f"{record.origin}:{record.oseq}" in restamped:
            continue
        if record.kind in ("thing.modified", "thing.merged", "thing.created"):
            for token in _TOKEN.findall(record.value):
                counts[record.entity[6:] + record.path, token.decode()] += 1
    for write in world.written:
        count = counts[write.thing + write.path, write.token]
        if write.value is not None and count != 1:
            verdict.find(
                f"cloud: {write.thing}{write.path} = {write.value!r}, written at {write.host}, "
                f"is there {count} times"
            )


def check_commands(verdict: Verdict, world: Judged) -> None:
    """No command is carried out twice; what was answered was carried out."""
    executed = _executed(world, lambda subject: subject != LETTER)
    for number, count in executed.items():
        if count > 1:
            verdict.find(f"command {number} was carried out {count} times")
    for number in world.answered:
        if executed[number] != 1:
            verdict.find(f"command {number} was answered and carried out {executed[number]} times")


def check_letters(verdict: Verdict, world: Judged) -> None:
    """What was promised came, maybe more than once; nothing waits in a quiet world."""
    executed = _executed(world, lambda subject: subject == LETTER)
    for letter in world.promised:
        if not executed[letter.number]:
            verdict.find(f"letter {letter.number} to {letter.thing} was promised, and never came")
    verdict.letters = len(world.promised)


def _executed(world: Judged, of: Callable[[str], bool]) -> Counter[int]:
    return Counter(
        int(payload)
        for device in world.devices.values()
        for subject, payload in device.memory.executed
        if of(subject)
    )


def _node(machine: Machine) -> Node:
    assert machine.node is not None, f"{machine.name} is down in a quiet world"
    return machine.node


def _things(node: Node, namespace: str) -> list[str]:
    return node.twins.list_ids(limit=_READ_EACH, namespaces=[namespace])


def _is_told(record: Record) -> bool:
    """Whether it stands for records that were gone when it was written."""
    return record.headers is not None and "told" in record.headers


def _document(node: Node, thing_id: str) -> bytes:
    return json.canonical(node.twins.peek(thing_id))


def _number(record: Record) -> int:
    assert record.headers is not None
    return int(str(record.headers["id"])[1:])


def _restamped(record: Record) -> str | None:
    """Which record this one stands for, because its stamp was too far ahead."""
    return None if record.headers is None else str(record.headers.get("restamped"))


def _content(record: Record) -> tuple[object, ...]:
    """What no receiver may alter; that a record was replayed is the receiver's own remark."""
    return (
        record.hlc,
        record.device_time,
        record.cls,
        record.kind,
        record.path,
        record.value,
        {k: v for k, v in (record.headers or {}).items() if k != "replayed"},
    )


def _named(record: Record) -> str:
    return f"{record.origin}#{record.oseq} ({record.kind} {record.entity}{record.path})"
