"""Things: commands and reads, synchronous, each with its policy asked first.

`commands` decides and appends, helped by `conditions` and `creation` (the policy a thing comes with);
`transactions` does several or none on `staging`; `reads`, cut by `selection`, is what callers see,
`standing` what the search index does.

Invariant: a command that raises has written nothing.
"""

from littoral.twin.things.commands import ThingCommands
from littoral.twin.things.reads import HIDDEN, ThingReads, kept_headers
from littoral.twin.things.selection import Selection
from littoral.twin.things.staging import Step
from littoral.twin.things.standing import Standing, Standings
from littoral.twin.things.transactions import Transactions

__all__ = [
    "HIDDEN",
    "Selection",
    "Standing",
    "Standings",
    "Step",
    "ThingCommands",
    "ThingReads",
    "Transactions",
    "kept_headers",
]
