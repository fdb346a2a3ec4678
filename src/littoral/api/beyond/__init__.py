"""What Eclipse Ditto lacks, under /api/littoral/v1: explanations, transactions, bulk, aggregation.

Each file is one resource with its request bodies; `routes` names them.

Invariant: nothing here decides about permissions; twins do, thing by thing.
"""
