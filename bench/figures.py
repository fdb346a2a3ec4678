"""What every benchmark script prints: its figure beside the target of issue 2, and where it was measured."""

import json
import sys
import tempfile
from dataclasses import asdict, dataclass

from littoral.app.bench.processes import machine


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number."""

    name: str
    value: float
    unit: str
    target: float
    at_least: bool = False
    detail: str = ""

    @property
    def holds(self) -> bool:
        return self.value >= self.target if self.at_least else self.value <= self.target

    def row(self) -> str:
        """A line of a Markdown table."""
        sign = "≥" if self.at_least else "≤"
        met = "yes" if self.holds else "**no**"
        number = f"{self.value:,.0f}" if abs(self.value) >= 1000 else f"{self.value:.3g}"
        return (
            f"| {self.name} | {number} {self.unit} | {sign} {self.target:,g} {self.unit} "
            f"| {met} | {self.detail} |"
        )


HEAD = "| figure | measured | target | met | how |\n|---|---|---|---|---|"


def report(figures: list[Figure]) -> None:
    """Print the figures: a Markdown table, or JSON with ``--json``."""
    if "--json" in sys.argv:
        print(json.dumps([asdict(figure) | {"holds": figure.holds} for figure in figures]))
        return
    facts = ", ".join(f"{key} {value}" for key, value in machine(tempfile.gettempdir()).items())
    print(f"Measured on: {facts}\n")
    print(HEAD)
    for figure in figures:
        print(figure.row())
