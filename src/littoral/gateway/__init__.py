"""Doors for devices: protocols outside, twins inside.

Invariant: a device is told that a message is kept only after the commit that keeps it.
"""

__all__: list[str] = []
