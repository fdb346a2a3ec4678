"""Things and policies alike: how they stand in memory and in the log, and what they were before.

`engine` keeps those in use and writes snapshots, `history` reads them at a revision and puts late
records in their place, `telling` hands them over whole where records are gone; `tags` has their
entity tags, `pressure` how many changes may wait.

Invariant: what was not written out yet is never evicted; equal sets of records give equal documents.
"""

from littoral.twin.entities.engine import SPACE, Engine
from littoral.twin.entities.pressure import check_pressure
from littoral.twin.entities.tags import (
    KEPT_HEADER,
    check_conditions,
    check_read,
    etag_of,
    headers_of,
)
from littoral.twin.entities.telling import Adoption, Telling

__all__ = [
    "KEPT_HEADER",
    "SPACE",
    "Adoption",
    "Engine",
    "Telling",
    "check_conditions",
    "check_pressure",
    "check_read",
    "etag_of",
    "headers_of",
]
