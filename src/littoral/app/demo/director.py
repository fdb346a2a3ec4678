"""Runs the play: builds the stage, lets the fleet work, cuts, kills, mends, and asks for the verdict."""

import asyncio
import contextlib
import itertools
import shutil
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import monotonic

import msgspec
import uvloop
from rich.console import Console

from littoral.app.bench.node import NodeFailed, NodeProcess
from littoral.app.demo import offline, stage
from littoral.app.demo.crew import Crew
from littoral.app.demo.model import DemoOptions, FleetPlan, FleetReport, Verdict
from littoral.app.demo.observe import Observer
from littoral.app.demo.phases import CLOUD_DOWN_S, Phases, plan
from littoral.app.demo.screen import Screen
from littoral.app.demo.stage import CASTS, SITE_ONE
from littoral.app.demo.verdict import compare, quantiles
from littoral.app.demo.view import show_verdict

READY_S = 60.0
POLL_S = 0.02
OBSERVE_S = 0.4
CONDUCT_S = 1.0
CATCH_UP_S_MAX = 120.0
DRAIN_S_MAX = 120.0
EXIT_INTERRUPTED = 130


class Director:
    """One performance. `perform` returns what came out."""

    def __init__(self, options: DemoOptions, directory: Path, screen: Screen) -> None:
        self._options = options
        self._directory = directory
        self._screen = screen
        self._phases = plan(options.duration_s, options.outage_s)
        self._observer = Observer()
        self._stage = stage.build(directory / "nodes")
        self._crew = Crew(screen.scene)
        self._outage: tuple[float, float] = (0.0, 0.0)
        self._catch_up: tuple[float, int] | None = None
        self._restarts: dict[str, float] = {}
        self._problems: list[str] = []
        self._sent = self._answered = 0

    async def perform(self) -> Verdict:
        """Play all phases; leave no process behind, whatever happens."""
        try:
            await self._raise_curtain()
            async with asyncio.TaskGroup() as group:
                watchers = [
                    group.create_task(self._observe()),
                    group.create_task(self._screen.draw()),
                    group.create_task(self._crew.read()),
                    group.create_task(self._conduct()),
                ]
                report, working_s = await self._play(self._phases)
                for watcher in watchers:
                    watcher.cancel()
            return await self._judge(report, working_s)
        finally:
            self._crew.kill()
            for node in self._stage.nodes:
                node.kill()
            await self._stage.cable.cut()
            await self._observer.close()

    # -- before --------------------------------------------------------------------------------

    async def _raise_curtain(self) -> None:
        say, scene = self._screen.say, self._stage
        say("starting the cloud")
        scene.cloud.start()
        await self._ready(scene.cloud)
        counts = self._counts()
        stage.populate(scene.cloud, counts)
        say(f"{sum(counts.values())} devices declared in the cloud")
        await scene.cable.mend()
        for cast in CASTS:
            functions = _functions_file() if cast.site == SITE_ONE else None
            node = stage.add_site(scene, self._directory / "nodes", cast, functions)
            node.start()
            await self._ready(node)
            say(f"{cast.site} is enrolled and ready")
        for cast in CASTS:
            name = stage.names(cast, counts[cast.site])[-1]
            node = scene.sites[cast.site]
            await self._until(
                lambda node=node, cast=cast, name=name: self._observer.has_device(  # type: ignore[misc]
                    node, cast.tenant, name
                ),
                f"the devices of {cast.site} did not come down the link",
            )
        fleet = FleetPlan(
            devices=stage.specs(scene, counts),
            rate_per_device=self._options.rate_per_device,
            data_file=str(_example("data/nasa-shuttle.csv.gz")),
            report_file=str(self._directory / "fleet.json"),
        )
        await self._crew.start(fleet, self._directory / "fleet.log")
        say("the fleet connects")

    def _counts(self) -> dict[str, int]:
        first = max(1, (self._options.devices + 1) // 2)
        return {CASTS[0].site: first, CASTS[1].site: max(1, self._options.devices - first)}

    # -- the play ------------------------------------------------------------------------------

    async def _play(self, phases: Phases) -> tuple[FleetReport, float]:
        site = self._stage.sites[SITE_ONE]
        await self._until(self._crew.is_working, "the fleet did not connect")
        began_at = monotonic()
        await self._phase("all is well", phases.calm_s)
        await self._cut(phases)
        await self._phase("after the outage", phases.after_outage_s)
        self._screen.say(f"SIGKILL to the node of {SITE_ONE}")
        await self._kill_and_restart(site, down_s=0.0)
        await self._phase(f"{SITE_ONE} has come back", phases.after_site_s)
        self._screen.say("SIGKILL to the cloud")
        await self._kill_and_restart(self._stage.cloud, down_s=CLOUD_DOWN_S)
        await self._phase("the cloud has come back", phases.after_cloud_s)
        working_s = monotonic() - began_at
        self._screen.enter("draining: devices wait for their last acknowledgements", None)
        report = await self._crew.drain(self._directory / "fleet.json")
        await self._sync()
        return report, working_s

    async def _phase(self, name: str, seconds: float) -> None:
        self._screen.enter(name, seconds)
        await asyncio.sleep(seconds)

    async def _cut(self, phases: Phases) -> None:
        """Cut the cable of site one, mend it, and measure how long the site needs to catch up."""
        site, cloud = self._stage.sites[SITE_ONE], self._stage.cloud
        self._screen.say(f"the link of {SITE_ONE} is cut")
        await self._stage.cable.cut()
        cut_at = monotonic()
        await self._phase(f"{SITE_ONE} is on its own", phases.outage_s)
        before = await self._applied(cloud)
        self._outage = (cut_at, monotonic())
        await self._stage.cable.mend()
        self._screen.enter(f"{SITE_ONE} catches up", None)
        deadline = monotonic() + CATCH_UP_S_MAX
        behind = None
        while monotonic() < deadline:
            status = await self._observer.status(site)
            if status is not None and status.uplink is not None and status.uplink.session:
                behind = status.uplink.backlog_records
                break
            await asyncio.sleep(POLL_S)
        if behind is None or before is None:
            self._problems.append(f"the link of {SITE_ONE} did not come back")
            return
        up_at = monotonic()
        while monotonic() < deadline:
            now = await self._applied(cloud)
            if now is not None and now - before >= behind:
                self._catch_up = (monotonic() - up_at, behind)
                self._screen.say(f"{behind:,} records caught up in {self._catch_up[0]:.2f} s")
                return
            await asyncio.sleep(POLL_S)
        self._problems.append(f"{SITE_ONE} did not catch up within {CATCH_UP_S_MAX:g} s")

    async def _applied(self, cloud: NodeProcess) -> int | None:
        status = await self._observer.status(cloud)
        link = status.links.get(SITE_ONE) if status is not None else None
        return link.applied_records if link is not None else None

    async def _kill_and_restart(self, node: NodeProcess, *, down_s: float) -> None:
        node.kill()
        self._screen.enter(f"{node.name} is dead", down_s or None)
        await asyncio.sleep(down_s)
        started_at = monotonic()
        node.start()
        await self._ready(node)
        self._restarts[node.name] = monotonic() - started_at
        self._screen.say(f"{node.name} is ready after {self._restarts[node.name]:.2f} s")

    async def _sync(self) -> None:
        """Wait until no site has anything left that the cloud has not."""
        self._screen.enter("the cloud takes in the rest", None)
        for node in self._stage.sites.values():

            async def is_done(node: NodeProcess = node) -> bool:
                status = await self._observer.status(node)
                link = status.uplink if status is not None else None
                return link is not None and link.session and link.backlog_records == 0

            try:
                await self._until(is_done, f"{node.name} did not drain", DRAIN_S_MAX)
            except NodeFailed as e:
                self._problems.append(str(e))

    # -- the verdict ---------------------------------------------------------------------------

    async def _judge(self, report: FleetReport, working_s: float) -> Verdict:
        self._screen.enter("the verdict", None)
        for node in self._stage.nodes:
            node.stop()
        counts = compare(
            report.acknowledged, offline.read_stored(self._stage.cloud.directory, "cloud")
        )
        cut_at, mended_at = self._outage
        during = [r.latency_ms for r in report.reactions if cut_at <= r.at_s < mended_at]
        catch_up_s, caught_up = self._catch_up or (None, None)
        unsure = sum(len(device.in_doubt) for device in report.acknowledged)
        if unsure:
            self._problems.append(f"{unsure} messages were still not acknowledged at the end")
        if report.dropped:
            self._problems.append(f"{report.dropped} readings did not fit into devices' memory")
        if not during:
            self._problems.append("no reaction was seen during the outage")
        return Verdict(
            ok=counts.lost == 0 and counts.duplicated == 0 and counts.acknowledged > 0,
            acknowledged=counts.acknowledged,
            in_cloud=counts.in_cloud,
            lost=counts.lost,
            duplicated=counts.duplicated,
            out_of_order=counts.out_of_order,
            reaction_ms=quantiles(during),
            reaction_all_ms=quantiles([r.latency_ms for r in report.reactions]),
            catch_up_s=None if catch_up_s is None else round(catch_up_s, 3),
            catch_up_records=caught_up,
            catch_up_records_per_s=round(caught_up / catch_up_s)
            if caught_up and catch_up_s
            else None,
            messages_per_s=round(counts.acknowledged / working_s, 1),
            devices=len(report.acknowledged),
            duration_s=round(working_s, 1),
            outage_s=round(mended_at - cut_at, 1),
            resent=report.resent,
            commands=report.commands,
            cloud_messages=self._sent,
            cloud_messages_answered=self._answered,
            site_restart_s=_rounded(self._restarts.get(SITE_ONE)),
            cloud_restart_s=_rounded(self._restarts.get("cloud")),
            problems=(*self._problems, *counts.examples, *report.problems),
        )

    # -- waiting and watching ------------------------------------------------------------------

    async def _ready(self, node: NodeProcess) -> None:
        async def is_ready() -> bool:
            if not node.is_alive:
                raise NodeFailed(f"{node.name} ended. Its log ends with:\n{node.log_tail()}")
            return await self._observer.is_ready(node)

        await self._until(is_ready, f"{node.name} did not become ready")

    async def _until(
        self, is_so: Callable[[], Awaitable[bool]], otherwise: str, timeout_s: float = READY_S
    ) -> None:
        deadline = monotonic() + timeout_s
        while not await is_so():
            if monotonic() > deadline:
                raise NodeFailed(f"{otherwise} within {timeout_s:g} s.")
            await asyncio.sleep(POLL_S)

    async def _conduct(self) -> None:
        """Somebody in the cloud stops a robot at site two and lets it go on, again and again."""
        cast = CASTS[1]
        names = stage.names(cast, self._counts()[cast.site])
        for number in itertools.count():
            await asyncio.sleep(CONDUCT_S)
            if not self._stage.cloud.is_alive:
                continue
            thing_id = f"{cast.namespace}:{names[number // 2 % len(names)]}"
            subject = "go" if number % 2 else "stop"
            self._sent += 1
            self._answered += await self._observer.send(self._stage.cloud, thing_id, subject)

    async def _observe(self) -> None:
        """Keep the picture of nodes and links up to date."""
        while True:
            scene = self._screen.scene
            scene.cloud_alive = self._stage.cloud.is_alive
            cloud = await self._observer.status(self._stage.cloud)
            for view in scene.sites:
                node = self._stage.sites[view.name]
                view.alive = node.is_alive
                status = await self._observer.status(node)
                link = status.uplink if status is not None else None
                view.link = link.link if link is not None else None
                view.session = link.session if link is not None else None
                view.flow = link.flow if link is not None else None
                view.backlog = link.backlog_records if link is not None else view.backlog
                view.autonomy_h = link.autonomy_h if link is not None else None
                far = cloud.links.get(view.name) if cloud is not None else None
                # Freshness is the cloud's: how old the newest thing is that it knows of the site.
                view.fresh_ms = far.fresh_ms if far is not None else None
            await asyncio.sleep(OBSERVE_S)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _example(name: str) -> Path:
    """A file of ``examples/``, beside the sources or below the working directory."""
    for root in (Path(__file__).resolve().parents[4], Path.cwd()):
        file = root / "examples" / name
        if file.exists():
            return file
    raise NodeFailed(f"examples/{name} is not here; run the demo from a checkout of Littoral.")


def _functions_file() -> Path:
    return _example("functions/shuttle.py")


async def _perform(options: DemoOptions, directory: Path, screen: Screen) -> Verdict:
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, task.cancel)
    try:
        return await Director(options, directory, screen).perform()
    except* NodeFailed as group:
        raise _first(group) from group


def _first(group: BaseExceptionGroup[NodeFailed]) -> NodeFailed:
    first = group.exceptions[0]
    return first if isinstance(first, NodeFailed) else _first(first)


def run_demo(options: DemoOptions) -> int:
    """Perform; print the verdict; return the exit code: 0 if nothing was lost or duplicated."""
    directory = Path(options.keep_dir or tempfile.mkdtemp(prefix="littoral-demo-"))
    directory.mkdir(parents=True, exist_ok=True)
    screen = Screen(headless=options.headless or options.json, sites=[c.site for c in CASTS])
    keep = options.keep_dir is not None
    try:
        with screen:
            verdict = uvloop.run(_perform(options, directory, screen))
    except (KeyboardInterrupt, asyncio.CancelledError):
        screen.errors.print("stopped; every process of the demo has ended.")
        return EXIT_INTERRUPTED
    except NodeFailed as e:
        screen.errors.print(str(e), style="red", highlight=False, markup=False)
        keep = True
        return 1
    finally:
        if keep:
            screen.errors.print(f"logs and data are in {directory}", highlight=False)
        else:
            with contextlib.suppress(OSError):
                shutil.rmtree(directory)
    if options.json:
        sys.stdout.write(msgspec.json.encode(verdict).decode() + "\n")
    else:
        show_verdict(verdict, Console())
    return 0 if verdict.ok else 1
