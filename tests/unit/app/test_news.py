"""A site's terminal tells of its link: each change once, each reason once an outage."""

import logging
from dataclasses import replace

from littoral.app.news import REASONS_MAX, LinkNews
from littoral.edge import LinkStatistics

DOWN = LinkStatistics(
    peer="cloud",
    link=False,
    session=False,
    flow=False,
    fresh_ms=None,
    skew_ms=None,
    round_trip_ms=None,
    since_ms=None,
    backlog={},
    backlog_records=14,
    held_records=0,
    sent_records=0,
    received_records=0,
    applied_records=0,
    drain_per_s=0.0,
    fill_per_s=0.0,
    received_per_s=0.0,
    catch_up_s=None,
    autonomy_h=None,
    sessions=0,
    last_error="",
)
UP = replace(DOWN, link=True, session=True, flow=True)


def told(*links: LinkStatistics) -> list[tuple[int, str]]:
    news = LinkNews()
    return [one for link in links for one in news.of(link)]


def test_a_link_that_comes_is_told_once() -> None:
    assert told(DOWN, UP, UP) == [(logging.INFO, "link: connected, 14 records wait.")]


def test_a_refusal_is_told_once_with_its_reason() -> None:
    refused = replace(DOWN, last_error="this token was used already. Make a new one.")
    assert told(DOWN, refused, refused) == [
        (
            logging.WARNING,
            "link: no cloud, trying again: this token was used already. Make a new one.",
        )
    ]


def test_the_next_outage_tells_its_reason_again() -> None:
    away = replace(DOWN, last_error="connection refused.")
    assert [level for level, _ in told(UP, away, UP, away)] == [
        logging.INFO, logging.WARNING, logging.INFO, logging.WARNING
    ]  # fmt: skip


def test_an_outage_with_ever_new_reasons_falls_silent() -> None:
    assert len(told(*(replace(DOWN, last_error=f"{n}") for n in range(100)))) == REASONS_MAX
