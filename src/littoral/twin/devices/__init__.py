"""What a device may do with its own thing: `door` is the hot path, `commands` the Ditto Protocol there.

Invariant: synchronous; no task, no future and no parsed document per message.
"""

from littoral.twin.devices.door import DeviceDoor

__all__ = [
    "DeviceDoor",
]
