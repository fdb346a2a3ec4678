"""A virtual world: a cloud, sites and devices, made of real nodes, living through a seed's plan.

`run_world` runs one and judges it. The same seed is the same world, to the byte.
"""

import asyncio
from collections.abc import Callable, Iterable

from littoral.eventing import Kept, Message
from littoral.kernel.errors import LittoralError
from littoral.kernel.ids import Subject
from littoral.kernel.limits import SKEW_MS_MAX
from littoral.node import Node
from littoral.simulate.devices import Account, VirtualDevice
from littoral.simulate.forgetting import Deed, Forgetting, forget
from littoral.simulate.judge import LETTER, Verdict, judge, judge_memory
from littoral.simulate.loop import Late, SimLoop, Stuck, run
from littoral.simulate.machine import MQTT_PORT, Machine, MakeStore, NodeGone
from littoral.simulate.network import Network
from littoral.simulate.plan import (
    CLOUD,
    Command,
    DevicePlan,
    Fault,
    Letter,
    Plan,
    Trouble,
    Write,
    draw,
)
from littoral.simulate.said import payload_of, policy_of
from littoral.simulate.time import VirtualClock
from littoral.twin import Caller

QUIET_WITHIN_S = 1200.0
"""Virtual time after the last fault within which everything must have arrived."""

LINK_SPACE = "link"
"""Where a log keeps what the link knows."""

_NOTES = {
    "held/": "holds records whose stamps are too far ahead",
    "again/": "waits to be told things again",
    "owed/": "has things to tell again",
    "taking/": "is being told",
}
"""What the link notes while something is on its way."""

QUIET_FOR_S = 5.0
"""How long nothing may happen before a world is called quiet."""

QUIET_LOOK_S, QUIET_LOOK_S_MAX = 0.5, 10.0
"""How often the world looks whether it is quiet."""

COMMAND_S = 5.0
LETTER_S = 20 * 24 * 3600.0
"""How long a letter is kept: longer than any clock jumps."""
PERSON = Caller(frozenset((Subject("nginx:ditto"),)))
_PASSWORD = "virtual"  # noqa: S105  # nobody's


class World:
    """One world; see `run_world`."""

    def __init__(
        self,
        plan: Plan,
        loop: SimLoop,
        *,
        trace: Callable[[str], None] | None = None,
        make_store: MakeStore | None = None,
        prepare: Callable[[Node], None] | None = None,
        forgetting: Forgetting | None = None,
    ) -> None:
        self.plan = plan
        self._forgetting = forgetting or Forgetting({}, {}, ())
        self.loop = loop
        self._trace = trace
        self._prepare = prepare
        self.network = Network(loop, loop.random, trace=self.note)
        self.machines = {
            host.name: Machine(
                host.name,
                network=self.network,
                source=loop.random,
                clock=VirtualClock(loop, skew_ms=host.skew_ms, drift_ppm=host.drift_ppm),
                cloud=None if host.name == CLOUD else CLOUD,
                commit_s_max=host.commit_s_max,
                make_store=make_store,
                prepare=prepare,
                retention=self._forgetting.kept.get(host.name),
            )
            for host in plan.hosts
        }
        self.devices = {device.thing: self._device(device) for device in plan.devices}
        self.waits_for = "the plan to be over"
        """Why the world is not quiet; for the message of `Late`."""
        self.written: list[Write] = []
        """Writes of people that were acknowledged."""
        self.answered: list[int] = []
        """Commands that got an answer."""
        self.promised: list[Letter] = []
        """Letters whose senders were told that they are answered, or kept."""
        for host in plan.hosts[1:]:
            self.network.shape(host.name, CLOUD, host.to_cloud)
            for device in plan.devices:
                if device.site == host.name:
                    self.network.shape(_host_of(device), host.name, host.to_devices)

    def note(self, line: str) -> None:
        """Write a line into the trace."""
        if self._trace is not None:
            self._trace(f"{self.loop.time():9.4f}  {line}")

    @property
    def sites(self) -> list[Machine]:
        """The sites."""
        return [machine for machine in self.machines.values() if machine.cloud is not None]

    @property
    def cloud(self) -> Machine:
        """The cloud."""
        return self.machines[CLOUD]

    async def live(self) -> Verdict:
        """Go through the plan, become quiet, be judged, restart every node, be judged again."""
        async with asyncio.TaskGroup() as tasks:
            hosts = [
                tasks.create_task(self._come(machine), name=f"{machine.name} lives")
                for machine in self.machines.values()
            ]
            await self._found()
            devices = [
                tasks.create_task(device.run(), name=f"{device.host} lives")
                for device in self.devices.values()
            ]
            self.loop.expire_at(self.loop.time() + self.plan.lasts_s + QUIET_WITHIN_S)
            async with asyncio.TaskGroup() as acts:
                for act in self._acts():
                    acts.create_task(act)
            self._mend()
            await self._quiet()
            verdict = judge(self)
            for device_task in devices:
                device_task.cancel()
            await self._restart_all()
            judge_memory(self, verdict)
            for host in hosts:
                host.cancel()
        return verdict

    async def _come(self, machine: Machine) -> None:
        await asyncio.sleep(self._forgetting.comes_s.get(machine.name, 0.0))
        await machine.live()

    async def _found(self) -> None:
        """Make tenants, devices, sites and policies in the cloud, before anything goes wrong."""

        async def found(node: Node) -> None:
            for host in self.plan.hosts[1:]:
                tenant = f"T{host.namespace}"
                node.registry.put_tenant(tenant, namespaces=[host.namespace])
                node.registry.put_site(host.name, tenants=[tenant])
                policy_id = f"{host.namespace}:default"
                await node.twins.put_policy(PERSON, policy_id, "/", policy_of(policy_id))
                for device in self.plan.devices:
                    if device.site != host.name:
                        continue
                    node.registry.put_device(tenant, device.name)
                    secrets = [{"pwd-plain": _PASSWORD, "hash-function": "sha-256"}]
                    credential = {"type": "hashed-password", "secrets": secrets}
                    credential["auth-id"] = f"auth-{device.name}"
                    node.registry.put_credentials(tenant, device.name, [credential])
            await node.log.wait()

        await self.cloud.up.wait()
        await self.cloud.ask(found)

    def _device(self, plan: DevicePlan) -> VirtualDevice:
        account = Account(
            tenant=f"T{plan.thing.partition(':')[0]}",
            device=plan.name,
            auth_id=f"auth-{plan.name}",
            password=_PASSWORD,
            version=plan.version,
        )
        return VirtualDevice(
            self.network,
            self.loop.random,
            host=_host_of(plan),
            door=(plan.site, MQTT_PORT),
            account=account,
        )

    # -- what happens -------------------------------------------------------------------------

    def _acts(self) -> Iterable["asyncio._CoroutineLike[None]"]:
        start_s = self.loop.time()
        for device in self.plan.devices:
            yield self._speak(start_s, device)
        for fault in self.plan.faults:
            yield self._happen(start_s, fault)
        for write in self.plan.writes:
            yield self._write(start_s, write)
        for command in self.plan.commands:
            yield self._command(start_s, command)
        for letter in self.plan.letters:
            yield self._send(start_s, letter)
        for deed in self._forgetting.deeds:
            yield self._do(start_s, deed)

    async def _at(self, start_s: float, at_s: float) -> None:
        await asyncio.sleep(max(0.0, start_s + at_s - self.loop.time()))

    async def _speak(self, start_s: float, plan: DevicePlan) -> None:
        device = self.devices[plan.thing]
        for number, publish in enumerate(plan.publishes, start=1):
            await self._at(start_s, publish.at_s)
            payload, content_type = payload_of(publish, number)
            device.publish(
                payload,
                topic=publish.topic,
                content_type=content_type,
                feature=f"f{publish.feature}",
                device_time=self._now_of(plan) if publish.with_time else None,
            )

    def _now_of(self, plan: DevicePlan) -> int:
        # A device has the time of its site, more or less.
        return self.machines[plan.site].clock.now_ms() + self.loop.random.randint(-50, 50)

    async def _happen(self, start_s: float, fault: Fault) -> None:
        await self._at(start_s, fault.at_s)
        self.note(f"FAULT {fault}")
        machine = self.machines[fault.host]
        remaining_s = max(0.0, start_s + self.plan.lasts_s - self.loop.time())
        lasts_s = min(fault.lasts_s, remaining_s)
        match fault.trouble:
            case Trouble.CUT_LINK:
                await self._cut([(fault.host, CLOUD)], lasts_s)
            case Trouble.CUT_DEVICES:
                await self._cut(self._device_paths(fault.host), lasts_s)
            case Trouble.RESET_LINK:
                await self._reset_often([(fault.host, CLOUD)], lasts_s)
            case Trouble.RESET_DEVICES:
                await self._reset_often(self._device_paths(fault.host), lasts_s)
            case _:
                await self._break(machine, fault, lasts_s)

    async def _break(self, machine: Machine, fault: Fault, lasts_s: float) -> None:
        """What goes wrong inside one host."""
        match fault.trouble:
            case Trouble.POWER_CUT:
                machine.cut_power()
                await asyncio.sleep(lasts_s)
                machine.restart()
            case Trouble.POWER_CUT_AT_WRITE:
                machine.disk.cut_after(fault.amount)
                await asyncio.sleep(lasts_s)
                machine.restart()
            case Trouble.KILL:
                machine.kill()
                await asyncio.sleep(lasts_s)
                machine.restart()
            case Trouble.CLOCK_JUMP:
                machine.clock.jump(fault.amount)
            case Trouble.DISK_FULL:
                machine.disk.bytes_max = machine.disk.bytes_used + fault.amount
                await asyncio.sleep(lasts_s)
                machine.disk.bytes_max = None
            case Trouble.SYNC_FAILS:
                machine.disk.fail_syncs(1)
            case _:
                raise AssertionError(f"{fault} is not of one host")

    async def _cut(self, paths: list[tuple[str, str]], lasts_s: float) -> None:
        for one, other in paths:
            self.network.cut(one, other)
        await asyncio.sleep(lasts_s)
        for one, other in paths:
            self.network.heal(one, other)

    async def _reset_often(self, paths: list[tuple[str, str]], lasts_s: float) -> None:
        until_s = self.loop.time() + lasts_s
        while self.loop.time() <= until_s:
            for one, other in paths:
                self.network.reset(one, other)
            await asyncio.sleep(self.loop.random.choice((0.05, 0.2, 1.0)))

    def _device_paths(self, site: str) -> list[tuple[str, str]]:
        return [(_host_of(device), site) for device in self.plan.devices if device.site == site]

    async def _write(self, start_s: float, write: Write) -> None:
        await self._at(start_s, write.at_s)

        async def ask(node: Node) -> None:
            twins = node.twins
            if write.value is None:
                await twins.delete(PERSON, write.thing, write.path)
            elif write.is_merge:
                await twins.merge(PERSON, write.thing, write.path, write.value)
            else:
                await twins.modify(PERSON, write.thing, write.path, write.value)

        try:
            await self.machines[write.host].ask(ask)
        except NodeGone:
            self.note(f"write {write.value} at {write.host}: unknown")
        except LittoralError as e:
            self.note(f"write {write.value} at {write.host}: refused: {e.code}")
        else:
            self.note(f"write {write.value} at {write.host} {write.thing}{write.path}: done")
            self.written.append(write)

    async def _do(self, start_s: float, deed: Deed) -> None:
        await self._at(start_s, deed.at_s)
        try:
            await self.cloud.ask(deed.do)
        except LittoralError as e:
            self.note(f"{deed}: {e.code}")
        else:
            self.note(f"{deed}: done")

    async def _command(self, start_s: float, command: Command) -> None:
        await self._at(start_s, command.at_s)
        message = Message(
            thing_id=command.thing,
            subject="do",
            payload=b"%d" % command.number,
            subjects=PERSON.subjects,
        )
        try:
            reply = await self.cloud.ask(lambda node: node.inbox.send(message, timeout_s=COMMAND_S))
        except LittoralError as e:
            self.note(f"command {command.number} to {command.thing}: {e.code}")
        else:
            self.note(f"command {command.number} to {command.thing}: {reply.status}")
            if reply.status < 300:
                self.answered.append(command.number)

    async def _send(self, start_s: float, letter: Letter) -> None:
        await self._at(start_s, letter.at_s)
        message = Message(
            thing_id=letter.thing,
            subject=LETTER,
            payload=b"%d" % letter.number,
            subjects=PERSON.subjects,
            response_required=letter.wants_answer,
        )
        try:
            found = await self.machines[letter.host].ask(
                lambda node: node.mailbox.send(message, ttl_s=LETTER_S, timeout_s=COMMAND_S)
            )
        except LittoralError as e:
            self.note(f"letter {letter.number} to {letter.thing}: {e.code}")
        else:
            self.note(f"letter {letter.number} to {letter.thing}: {type(found).__name__}")
            if isinstance(found, Kept) or found.status < 300:
                self.promised.append(letter)

    # -- how it ends --------------------------------------------------------------------------

    def _mend(self) -> None:
        """The faults end; a clock that is very wrong is set right."""
        self.note("everything is mended")
        for machine in self.machines.values():
            machine.restart()
            error_ms = machine.clock.error_ms()
            if abs(error_ms) > SKEW_MS_MAX // 2:
                machine.clock.jump(-error_ms)
        for site in self.sites:
            self.network.heal(site.name, CLOUD)
            for one, other in self._device_paths(site.name):
                self.network.heal(one, other)

    async def _quiet(self) -> None:
        """Wait until every outbox is empty, and every node has what it should have."""
        look_s, quiet_s = QUIET_LOOK_S, 0.0
        # A link that has just come up does not know yet what it has to send: look for a while.
        while quiet_s < QUIET_FOR_S:
            why = self._unquiet()
            if why is None:
                look_s, quiet_s = QUIET_LOOK_S, quiet_s + QUIET_LOOK_S
            else:
                self.waits_for, quiet_s = why, 0.0
                look_s = min(1.2 * look_s, QUIET_LOOK_S_MAX)
            await asyncio.sleep(look_s)
        self.waits_for = ""
        self.note("quiet")

    def _unquiet(self) -> str | None:
        """What is still on its way; None if nothing is."""
        for device in self.devices.values():
            if not device.is_done:
                return f"{device.host} waits for {len(device.memory.outbox)} acknowledgements"
        for machine in self.machines.values():
            why = _unquiet_at(machine)
            if why is not None:
                return f"{machine.name} {why}"
        cloud = self.cloud.node
        assert cloud is not None
        assert cloud.downlink is not None
        down = cloud.downlink.sites()
        for site in self.sites:
            assert site.node is not None
            assert site.node.uplink is not None
            up, back = site.node.uplink.statistics(), down.get(site.name)
            if back is None or not up.session or not back.session:
                return f"{site.name} has no session: {up.last_error}"
            if up.backlog_records or up.held_records:
                return (
                    f"{site.name} has {up.backlog_records}+{up.held_records} records for the cloud"
                )
            if back.backlog_records:
                return f"the cloud has {back.backlog_records} records for {site.name}"
        return None

    async def _restart_all(self) -> None:
        """End every node, in order or not, and boot it again: memory must equal what is stored."""
        for machine in self.machines.values():
            if self.plan.ends_cleanly:
                machine.stop()
            else:
                machine.cut_power()
            await asyncio.sleep(1.0)
            machine.restart()
            await machine.up.wait()


def _unquiet_at(machine: Machine) -> str | None:
    """What a node is not done with; None if nothing is."""
    node = machine.node
    if node is None:
        return "is down"
    if node.log.committed != node.log.head:
        return "commits"
    for prefix, why in _NOTES.items():
        if node.log.scan(LINK_SPACE, prefix=prefix, limit=1):
            return why
    if letters := node.mailbox.statistics().messages:
        return f"keeps {letters} letters"
    return None


def _host_of(device: DevicePlan) -> str:
    return "host-of-" + device.thing.replace(":", "-")


def run_world(
    seed: int,
    *,
    far_clocks: bool = False,
    forgetful: bool = False,
    trace: Callable[[str], None] | None = None,
    make_store: MakeStore | None = None,
    prepare: Callable[[Node], None] | None = None,
) -> Verdict:
    """Live through the world of ``seed``; return how it was judged.

    Args:
        seed: which world.
        far_clocks: whether clocks may be so wrong that the link refuses their stamps.
        forgetful: whether logs keep little, and sites come late, so that states have to be told.
        trace: told line by line what happens.
        make_store: how nodes open their logs; for tests that plant a bug.
        prepare: called with every node that was composed; for tests that plant a bug.

    Raises:
        Stuck, Late: something did not arrive.
        AssertionError, ExceptionGroup: a node failed.
    """
    plan = draw(seed, far_clocks=far_clocks)
    worlds: list[World] = []

    async def main() -> Verdict:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimLoop)
        forgetting = forget(plan) if forgetful else None
        world = World(
            plan, loop, trace=trace, make_store=make_store, prepare=prepare, forgetting=forgetting
        )
        worlds.append(world)
        for fault in plan.faults:
            world.note(f"planned: {fault}")
        return await world.live()

    try:
        return run(main, seed=seed)
    except (Late, Stuck) as e:
        raise type(e)(f"seed {seed} waits in vain: {worlds[0].waits_for}\n{e}") from e
