"""The demo's screen shows the whole story on any terminal: no column is cut or lost."""

import pytest
from rich.console import Console

from littoral.app.demo.model import FleetStatus
from littoral.app.demo.view import WIDE, Scene, SiteView, render

FLEET = FleetStatus(
    site="site-one", devices=100, connected=100, published=86_000, acknowledged=86_186,
    in_flight=2, waiting=0, resent=6, commands=83, reaction_p50_ms=99.5, reaction_p99_ms=1131.1,
)  # fmt: skip
SITE = SiteView(
    "site-one", alive=True, link=True, session=True, flow=True, fresh_ms=123.0,
    backlog=120_258, autonomy_h=1_268.0, per_s=1_006.0, fleet=FLEET,
)  # fmt: skip


@pytest.mark.parametrize("width", [80, WIDE, 120])
def test_every_cell_is_whole(width: int) -> None:
    console = Console(width=width)
    with console.capture() as captured:
        console.print(render(Scene([SITE], cloud_alive=True), width))
    text = captured.get()
    assert "…" not in text
    for whole in ("123 ms", "120,258", "100/100", "86,186", "99.5 / 1,131 ms"):
        assert whole in text
    assert ("1,268 h" in text) == (width >= WIDE)
