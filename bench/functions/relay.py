"""The site function of `bench/reaction.py`: what a sensor says becomes a command to an actuator."""

from littoral.functions import on


@on("features/telemetry/properties/n", things="org.bench:sensor-*")
def relay(ctx):
    properties = ctx.event.value
    number = ctx.thing["features"]["telemetry"]["properties"]["n"]
    actuator = ctx.thing_id.replace("sensor", "actuator")
    ctx.command(actuator, "set", {"n": number})
    del properties
