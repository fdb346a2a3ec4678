"""Limits of what goes beyond Ditto."""

BULK_PAGE = 200
"""Things that a bulk decides at once, and makes durable before it goes on."""

BULK_ERRORS_MAX = 100
"""Refusals that a bulk's report tells one by one; all of them are counted by code."""

BULK_SAMPLE = 25
"""Ids of changed things in a bulk's report."""

TRANSACTION_BYTES_MAX = 1024 * 1024
"""Size of a transaction's body."""
