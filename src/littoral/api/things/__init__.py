"""Ditto's /api/2/things.

`routes` has every path of a thing, `listing` many at once.

Invariant: nothing here decides about permissions; every command goes through the pipeline.
"""

from littoral.api.things.listing import ThingListing
from littoral.api.things.routes import ThingRoutes

__all__ = [
    "ThingListing",
    "ThingRoutes",
]
