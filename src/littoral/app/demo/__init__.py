"""``littoral demo``: a cloud, two sites, a fleet over real MQTT, outages, and a verdict.

Every node and the fleet are processes of their own; this one cuts cables, pulls plugs, shows and
judges. The verdict compares what devices saw acknowledged with what the cloud's log holds.

Invariant: nothing here is imported by a node, and no process started here outlives this one.
"""

from littoral.app.demo.director import run_demo
from littoral.app.demo.model import DemoOptions, Verdict

__all__ = ["DemoOptions", "Verdict", "run_demo"]
