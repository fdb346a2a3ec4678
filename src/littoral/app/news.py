"""What a site says of its link on standard error: when it comes, when it goes, and why.

Whoever starts a site looks at its terminal or its journal, and should not have to ask the node to
learn that its token was refused.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator

from littoral.edge import LinkStatistics

LOOK_S = 1.0
REASONS_MAX = 8
"""Different reasons told of one outage; a reason is told once, however often it is met."""

_logger = logging.getLogger(__name__)


class LinkNews:
    """Turns what a link is into sentences: one for a change, none while nothing changes."""

    def __init__(self) -> None:
        self._session = False
        self._told: set[str] = set()

    def of(self, link: LinkStatistics) -> Iterator[tuple[int, str]]:
        """Levels and sentences about what is new in ``link``."""
        if link.session:
            if not self._session:
                yield logging.INFO, f"link: connected, {link.backlog_records:,} records wait."
            self._session = True
            self._told.clear()
            return
        reason = link.last_error
        if reason and reason not in self._told and len(self._told) < REASONS_MAX:
            self._told.add(reason)
            yield logging.WARNING, f"link: no cloud, trying again: {reason}"
        self._session = False


async def tell_of_link(statistics: Callable[[], LinkStatistics]) -> None:
    """Log what is new of the link, until cancelled."""
    news = LinkNews()
    while True:
        for level, sentence in news.of(statistics()):
            _logger.log(level, "%s", sentence)
        await asyncio.sleep(LOOK_S)
