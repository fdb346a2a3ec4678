"""What the devices have to tell: the shuttle's readings, and robots that move about."""

import csv
import gzip
import math
from pathlib import Path
from random import Random
from typing import Protocol

import orjson

from littoral.app.demo.model import EVENT, TELEMETRY

COLUMNS = 9
SITE_M = 50.0
DRAIN_PER_S = 0.1
"""Percent of the battery that a second of driving costs."""
LOW_BATTERY = 20.0


class Source(Protocol):
    """One device's readings."""

    def next(self, number: int) -> tuple[str, str, bytes]:
        """The next message: its endpoint (`TELEMETRY` or `EVENT`), feature and payload."""
        ...

    def command(self, name: str, payload: bytes) -> dict[str, object]:
        """Obey; return what to answer. ``payload`` came with the command."""
        ...


def load_rows(file: Path) -> list[tuple[int, ...]]:
    """The readings ``f1`` to ``f9`` of every row; the label stays with whoever trains on it."""
    with gzip.open(file, "rt", newline="") as text:
        rows = csv.reader(text)
        next(rows)
        return [tuple(map(int, row[:COLUMNS])) for row in rows]


class Shuttle:
    """Replays the NASA shuttle's readings from a place of its own, round and round."""

    def __init__(self, rows: list[tuple[int, ...]], random: Random) -> None:
        self._rows = rows
        self._at = random.randrange(len(rows))
        self._mode = "normal"

    def next(self, number: int) -> tuple[str, str, bytes]:
        row = self._rows[self._at % len(self._rows)]
        self._at += 1
        fields = {f"f{place}": value for place, value in enumerate(row, 1)}
        return TELEMETRY, "telemetry", orjson.dumps({**fields, "n": number, "mode": self._mode})

    def command(self, name: str, payload: bytes) -> dict[str, object]:
        del payload
        self._mode = "safe" if "safe" in name else name
        return {"mode": self._mode}


class Robot:
    """Drives from waypoint to waypoint, empties its battery, and charges when it is low."""

    def __init__(self, random: Random, period_s: float) -> None:
        self._random = random
        self._period_s = period_s
        self._x, self._y = random.uniform(0, SITE_M), random.uniform(0, SITE_M)
        self._goal = (random.uniform(0, SITE_M), random.uniform(0, SITE_M))
        self._battery = random.uniform(30.0, 100.0)
        self._charging = False
        self._halted = False

    def next(self, number: int) -> tuple[str, str, bytes]:
        heading = self._move()
        if number % 50 == 0:
            state = "charging" if self._charging else "driving"
            return EVENT, "status", orjson.dumps({"n": number, "state": state})
        if number % 5 == 0:
            return (
                TELEMETRY,
                "battery",
                orjson.dumps({"n": number, "percent": round(self._battery, 1)}),
            )
        position = {"x": round(self._x, 2), "y": round(self._y, 2), "heading": round(heading, 3)}
        return TELEMETRY, "position", orjson.dumps({**position, "n": number})

    def command(self, name: str, payload: bytes) -> dict[str, object]:
        del payload
        if name in ("stop", "go"):
            self._halted = name == "stop"
        return {"halted": self._halted, "battery": round(self._battery, 1)}

    def _move(self) -> float:
        dx, dy = self._goal[0] - self._x, self._goal[1] - self._y
        distance, heading = math.hypot(dx, dy), math.atan2(dy, dx)
        self._charging = self._battery < LOW_BATTERY or (self._charging and self._battery < 90.0)
        if self._charging:
            self._battery = min(100.0, self._battery + 2.0 * self._period_s)
            return heading
        if not self._halted:
            step = min(distance, 1.5 * self._period_s)
            self._x += math.cos(heading) * step
            self._y += math.sin(heading) * step
            self._battery -= DRAIN_PER_S * self._period_s
        if distance < 1.0:
            self._goal = (self._random.uniform(0, SITE_M), self._random.uniform(0, SITE_M))
        return heading
