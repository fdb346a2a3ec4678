"""The append-only log of a node: every accepted change is one record here, and only here first.

A command is decided, its facts are appended, the batch is committed, and only then anybody is
told. Beside the records lies a table of keys and values, written in the same transactions: state
snapshots, registry entries, cursors, high-water marks.

Invariant: what was acknowledged survives a power cut; what is not durable is never shown.
"""

from littoral.log.cursor import Cursor
from littoral.log.errors import (
    CursorLost,
    LogBroken,
    LogBusy,
    LogClosed,
    LogFull,
    LogInUse,
    LogOfAnotherNode,
    LogTooNew,
    RecordInvalid,
)
from littoral.log.model import (
    BATCH_RECORDS_MAX,
    DEFAULT_RETENTION,
    REPLAY_RECORDS_MAX,
    Batch,
    Budget,
    ClassUsage,
    Epoch,
    Headers,
    LogStatistics,
    Loss,
    Opened,
    Put,
    Record,
    RecordClass,
    Retention,
    Salvage,
)
from littoral.log.ports import Committer, Files, Scheduler, Store
from littoral.log.service import Log

__all__ = [
    "BATCH_RECORDS_MAX",
    "DEFAULT_RETENTION",
    "REPLAY_RECORDS_MAX",
    "Batch",
    "Budget",
    "ClassUsage",
    "Committer",
    "Cursor",
    "CursorLost",
    "Epoch",
    "Files",
    "Headers",
    "Log",
    "LogBroken",
    "LogBusy",
    "LogClosed",
    "LogFull",
    "LogInUse",
    "LogOfAnotherNode",
    "LogStatistics",
    "LogTooNew",
    "Loss",
    "Opened",
    "Put",
    "Record",
    "RecordClass",
    "RecordInvalid",
    "Retention",
    "Salvage",
    "Scheduler",
    "Store",
]
