"""Benchmarks that drive the whole path from outside, and the peers in the same run.

Everything measured is a process of its own: nodes, peers and generators meet over sockets only.

Invariant: nothing here is imported by a node.
"""

from littoral.app.bench.ingest import run_bench
from littoral.app.bench.result import IngestOptions

__all__ = ["IngestOptions", "run_bench"]
