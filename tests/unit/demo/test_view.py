"""What the audience sees."""

import io

from rich.console import Console

from littoral.app.demo.model import FleetStatus, Quantiles, Verdict
from littoral.app.demo.view import Scene, SiteView, render, show_verdict

FLEET = FleetStatus(
    site="site-one",
    devices=100,
    connected=99,
    published=5000,
    acknowledged=4990,
    in_flight=3,
    waiting=7,
    resent=0,
    commands=12,
    reaction_p50_ms=2.0,
    reaction_p99_ms=4.5,
)


def text_of(show):
    console = Console(width=160, record=True, file=io.StringIO())
    show(console)
    return console.export_text()


def test_each_site_has_a_row_with_link_session_flow_and_backlog():
    site = SiteView(
        "site-one",
        alive=True,
        link=True,
        session=True,
        flow=False,
        fresh_ms=250.0,
        backlog=12_345,
        autonomy_h=72.0,
        per_s=500.0,
        fleet=FLEET,
    )
    scene = Scene([site, SiteView("site-two")], phase="all is well")
    shown = text_of(lambda console: console.print(render(scene, 160)))
    for wanted in ("all is well", "12,345", "72 h", "250 ms", "99/100", "2.0 / 4.5 ms", "down"):
        assert wanted in shown
    assert "site-two" in shown


def test_a_narrow_terminal_gets_what_matters_most_unbroken():
    scene = Scene([SiteView("site-one", alive=True, backlog=1_234_567, fleet=FLEET)])
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(render(scene, 80))
    row = next(line for line in console.export_text().splitlines() if "site-one" in line)
    assert "1,234,567" in row
    assert "99/100" in row


def verdict(**changes):
    base = {
        "ok": True,
        "acknowledged": 10,
        "in_cloud": 10,
        "lost": 0,
        "duplicated": 0,
        "out_of_order": 0,
        "reaction_ms": Quantiles(1.0, 2.0, 5),
        "catch_up_s": 0.5,
        "messages_per_s": 100.0,
    }
    return Verdict(**(base | changes))


def test_the_verdict_says_in_words_whether_something_was_lost():
    assert "nothing that was acknowledged was lost" in text_of(lambda c: show_verdict(verdict(), c))
    bad = verdict(
        ok=False, lost=3, problems=("org:x message 4 was acknowledged and is not stored",)
    )
    shown = text_of(lambda c: show_verdict(bad, c))
    assert "something acknowledged was lost" in shown
    assert "message 4" in shown


def test_what_could_not_be_measured_is_a_dash_and_not_a_zero():
    shown = text_of(
        lambda c: show_verdict(verdict(catch_up_s=None, reaction_ms=Quantiles(None, None)), c)
    )
    assert "catch-up after the outage" in shown
    assert shown.count(" - ") >= 3
