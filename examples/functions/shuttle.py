"""Scores every reading of a NASA shuttle and sends an anomalous one to a safe state.

Runs at the site, also while the cloud is away. The limits in `score` are those of a small decision
tree over the labelled readings in examples/data; `bench/shuttle_score.py --fit` grows it again and
prints how good it is: precision 0.99, recall 0.99 on readings that it has not seen.
"""

from collections import Counter

import littoral
from littoral.functions import Context

SITE_THING = "org.shuttle:site"
STALE_S = 5.0

tally: Counter[str] = Counter()


def score(reading: dict[str, int]) -> str:
    """Why a reading is anomalous; empty if it is not. Missing columns count as normal."""
    f1, f2, f9 = (reading.get(column, 0) for column in ("f1", "f2", "f9"))
    if f1 > 68:
        return f"f1 is {f1}, above 68"
    if f2 > 16:
        return f"f2 is {f2}, above 16"
    if f2 <= -29 and f9 > 0:
        return f"f2 is {f2} while f9 is {f9}"
    return ""


@littoral.on("features/telemetry/properties", things="org.shuttle:*")
def watch(ctx: Context) -> None:
    """Judge one reading as it was, not as the twin is by now."""
    reading = ctx.value or {}
    if "f1" not in reading:
        return
    tally["seen"] += 1
    reason = score(reading)
    if not reason:
        return
    tally["anomalies"] += 1
    if ctx.event.age_s > STALE_S:
        # Caught up after an outage of this node: it counts, but it is too old to act on.
        tally["late"] += 1
        return
    ctx.command(ctx.thing_id, "safe-state", {"reason": reason, "n": reading.get("n")})


@littoral.every("5s")
def summary(ctx: Context) -> None:
    """Show at the site's own thing what was seen since the function started."""
    ctx.merge(SITE_THING, "/", {"features": {"guard": {"properties": dict(tally)}}})
