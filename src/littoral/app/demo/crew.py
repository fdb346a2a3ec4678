"""The fleet's process as its parent sees it: a plan in, lines out, an order to drain, a report."""

import asyncio
import sys
from pathlib import Path

import msgspec

from littoral.app.bench.node import NodeFailed
from littoral.app.bench.processes import die_with_parent
from littoral.app.demo.model import FleetLine, FleetPlan, FleetReport, FleetStatus
from littoral.app.demo.view import Scene

DRAIN_S_MAX = 90.0
RATE_WEIGHT = 0.5


class Crew:
    """Starts the fleet, keeps its newest status on the scene, and brings home its report."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._process: asyncio.subprocess.Process | None = None
        self._newest: dict[str, FleetStatus] = {}
        self._log: Path | None = None
        self._seen_at = 0.0

    async def start(self, plan: FleetPlan, log: Path) -> None:
        """Start the process and hand it the plan."""
        self._log = log
        with log.open("ab") as errors:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "littoral.app.demo.fleet",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                preexec_fn=die_with_parent,
            )
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(plan) + b"\n")
        await self._process.stdin.drain()

    async def read(self) -> None:
        """Follow what the fleet says; raise `NodeFailed` if it ends before it was told to."""
        assert self._process is not None
        assert self._process.stdout is not None
        loop = asyncio.get_running_loop()
        while line := await self._process.stdout.readline():
            told = msgspec.json.decode(line, type=FleetLine)
            now = loop.time()
            elapsed_s, self._seen_at = now - self._seen_at, now
            for status in told.sites:
                self._show(status, elapsed_s)
            if told.drained:
                return
        raise NodeFailed(f"the fleet ended. Its log ends with:\n{self._log_tail()}")

    def _show(self, status: FleetStatus, elapsed_s: float) -> None:
        before = self._newest.get(status.site)
        self._newest[status.site] = status
        for view in self._scene.sites:
            if view.name == status.site:
                view.fleet = status
                if before is not None and elapsed_s > 0:
                    rate = (status.acknowledged - before.acknowledged) / elapsed_s
                    view.per_s += RATE_WEIGHT * (rate - view.per_s)

    async def is_working(self) -> bool:
        """Whether every device is connected and messages are being acknowledged."""
        statuses = self._newest.values()
        return bool(statuses) and all(
            s.connected == s.devices and s.acknowledged > 0 for s in statuses
        )

    async def drain(self, report_file: Path) -> FleetReport:
        """Let the fleet end its work; return its report."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(b"drain\n")
        try:
            async with asyncio.timeout(DRAIN_S_MAX):
                await self._process.stdin.drain()
                code = await self._process.wait()
        except TimeoutError as e:
            raise NodeFailed(f"the fleet did not end within {DRAIN_S_MAX:g} s.") from e
        if code:
            raise NodeFailed(f"the fleet ended with {code}:\n{self._log_tail()}")
        return _read_report(report_file)

    def kill(self) -> None:
        """End the process at once, if it still runs."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    def _log_tail(self) -> str:
        if self._log is None:
            return ""
        return self._log.read_bytes()[-2000:].decode(errors="replace")


def _read_report(file: Path) -> FleetReport:
    return msgspec.json.decode(file.read_bytes(), type=FleetReport)
