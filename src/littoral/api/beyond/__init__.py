"""What Eclipse Ditto lacks, under /api/littoral/v1: explanations, transactions, bulk, aggregation.

Each file is one resource with its request bodies; `routes` names them.

Invariant: nothing here decides about permissions; twins do, thing by thing.
"""

from littoral.api.beyond.aggregate import AggregateBody
from littoral.api.beyond.bulk import BulkBody
from littoral.api.beyond.explain import PolicyQuestion
from littoral.api.beyond.routes import NAMES, BeyondRoutes
from littoral.api.beyond.transactions import TransactionBody

__all__ = [
    "NAMES",
    "AggregateBody",
    "BeyondRoutes",
    "BulkBody",
    "PolicyQuestion",
    "TransactionBody",
]
