"""Doors for devices: protocols outside, twins inside.

Invariant: a device is told that a message is kept only after the commit that keeps it.
Invariant: a door decides nothing about permissions; the twin's `DeviceDoor` does.
"""

from littoral.gateway.mqtt.door import MqttDoor
from littoral.gateway.mqtt.model import DoorStatistics, Limits
from littoral.gateway.ports import Commits, DeviceDoor, DeviceDoors, Devices

__all__ = [
    "Commits",
    "DeviceDoor",
    "DeviceDoors",
    "Devices",
    "DoorStatistics",
    "Limits",
    "MqttDoor",
]
