"""Failures of a function: to the log output always, to the log of the node within bounds."""

import logging

from littoral.functions.model import REPORT_EVERY_S, REPORTS_BURST
from littoral.functions.ports import FunctionLog
from littoral.kernel import json
from littoral.kernel.errors import LittoralError
from littoral.kernel.time import Clock
from littoral.log import RecordClass

_logger = logging.getLogger("littoral.functions")


class Reports:
    """Tells about one function. A handler that fails a thousand times a second fills no disk."""

    def __init__(self, log: FunctionLog, clock: Clock, *, site: str, name: str) -> None:
        self._log = log
        self._clock = clock
        self._site = site
        self._name = name
        self._allowed = float(REPORTS_BURST)
        self._refilled_s = clock.monotonic_s()
        self._suppressed = 0

    def report(self, kind: str, text: str, **facts: object) -> None:
        """Record that something went wrong: an event ``function.<kind>``, and a warning."""
        now_s = self._clock.monotonic_s()
        self._allowed = min(
            REPORTS_BURST, self._allowed + (now_s - self._refilled_s) / REPORT_EVERY_S
        )
        self._refilled_s = now_s
        if self._allowed < 1:
            self._suppressed += 1
            return
        self._allowed -= 1
        _logger.warning("function %s: %s", self._name, text)
        value = json.encode({"text": text, "suppressed": self._suppressed, **facts})
        try:
            self._log.append(
                RecordClass.EVENT,
                f"function.{kind}",
                f"function:{self._site}/{self._name}",
                0,
                0,
                "/",
                value,
            )
        except LittoralError as e:
            _logger.warning("function %s: that is not in the log: %s", self._name, e)
            return
        self._suppressed = 0

    def note(self, text: str) -> None:
        """Pass on what user code wants to tell."""
        _logger.info("function %s: %s", self._name, text)
