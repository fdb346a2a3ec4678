"""Where the play is shown: a live view on a terminal, or one line per happening on stderr."""

import asyncio
from time import monotonic
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live

from littoral.app.demo.view import Scene, SiteView, render

DRAW_S = 0.2


class Screen:
    """A context manager; ``scene`` is what it shows.

    Nothing is written to stdout: that belongs to the verdict.
    """

    def __init__(self, *, headless: bool, sites: list[str]) -> None:
        self.errors = Console(stderr=True)
        self.scene = Scene([SiteView(name) for name in sites])
        self._headless = headless or not self.errors.is_terminal
        self._started_at = monotonic()
        self._entered_at = self._started_at
        self._phase_s: float | None = None
        self._live = Live(console=self.errors, auto_refresh=False, transient=False)

    def __enter__(self) -> Self:
        if not self._headless:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._headless:
            self._live.stop()

    def say(self, sentence: str) -> None:
        """Something happened."""
        line = f"{monotonic() - self._started_at:6.1f} s  {sentence}"
        self.scene.notes.append(line)
        if self._headless:
            self.errors.print(line, highlight=False)
        else:
            self._refresh()

    def enter(self, phase: str, seconds: float | None) -> None:
        """A phase begins; ``seconds`` None: it ends when it is done."""
        self.scene.phase = phase
        self._entered_at = monotonic()
        self._phase_s = seconds
        self.say(phase if seconds is None else f"{phase} ({seconds:.0f} s)")

    async def draw(self) -> None:
        """Refresh the live view until cancelled."""
        while True:
            if not self._headless:
                self._refresh()
            await asyncio.sleep(DRAW_S)

    def _refresh(self) -> None:
        scene = self.scene
        spent_s = monotonic() - self._entered_at
        scene.phase_left_s = None if self._phase_s is None else self._phase_s - spent_s
        self._live.update(render(scene, self.errors.width), refresh=True)
