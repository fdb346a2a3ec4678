"""Littoral: an edge-to-cloud platform whose two sides run the same node."""

__version__ = "0.1.0"
