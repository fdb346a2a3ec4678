"""How long each part of the demo takes. Pure."""

from dataclasses import dataclass

CALM_SHARE = 0.16
AFTER_OUTAGE_SHARE = 0.26
AFTER_SITE_SHARE = 0.27
AFTER_CLOUD_SHARE = 0.31
CALM_S_MIN = 3.0
AFTER_S_MIN = 5.0
CLOUD_DOWN_S = 2.0
"""How long the cloud's node stays dead before it is started again."""


@dataclass(frozen=True, slots=True)
class Phases:
    """Seconds of each phase, in the order in which they come."""

    calm_s: float
    outage_s: float
    after_outage_s: float
    after_site_s: float
    after_cloud_s: float


def plan(duration_s: float, outage_s: float) -> Phases:
    """Share out what the outage leaves; no phase gets shorter than it needs to show anything."""
    free_s = max(0.0, duration_s - outage_s)
    return Phases(
        calm_s=max(CALM_S_MIN, CALM_SHARE * free_s),
        outage_s=outage_s,
        after_outage_s=max(AFTER_S_MIN, AFTER_OUTAGE_SHARE * free_s),
        after_site_s=max(AFTER_S_MIN, AFTER_SITE_SHARE * free_s),
        after_cloud_s=max(AFTER_S_MIN, AFTER_CLOUD_SHARE * free_s),
    )
