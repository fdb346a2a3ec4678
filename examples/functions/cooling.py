"""Asks a device that is too hot to cool down, and shows at its twin that it was asked.

Runs where the device is: littoral edge --functions examples/functions/cooling.py
"""

import littoral
from littoral.functions import Context


@littoral.on(
    "features/telemetry/properties/temp", condition="gt(features/telemetry/properties/temp,30)"
)
def too_hot(ctx: Context) -> None:
    """Called with each reading above 30; the command goes out before the handler returns."""
    ctx.log(f"{ctx.thing_id} has {ctx.value} degrees")
    ctx.command(ctx.thing_id, "cool-down", {"fan": "on"})
    ctx.merge(ctx.thing_id, "/features/cooling/properties", {"asked": True})
