"""Why the log may refuse."""

from littoral.kernel.errors import Kind, LittoralError


class LogFull(LittoralError):
    """The disk or the budget is full: writes are refused, reads go on."""

    code = "log.full"
    kind = Kind.UNAVAILABLE
    retryable = True


class LogBusy(LittoralError):
    """More waits for the disk than the log is willing to hold; try again in a moment."""

    code = "log.busy"
    kind = Kind.LIMIT
    retryable = True


class RecordInvalid(LittoralError):
    """A record cannot be stored as it is; it was refused before it joined a batch."""

    code = "log.record_invalid"


class LogOfAnotherNode(LittoralError):
    """The data directory holds the log of a node with another name."""

    code = "log.other_node"
    kind = Kind.CONFLICT


class LogBroken(LittoralError):
    """The disk failed while a commit was written; the process must end and recover.

    Nothing after the last acknowledged record may be believed until the file is opened anew.
    """

    code = "log.broken"
    kind = Kind.UNAVAILABLE


class LogClosed(LittoralError):
    """The log is closed or closing."""

    code = "log.closed"
    kind = Kind.UNAVAILABLE
    retryable = True


class CursorLost(LittoralError):
    """Records before the cursor's position were dropped by retention.

    ``facts``: ``lost_from``, ``lost_to`` (inclusive seqs). The reader goes on at ``lost_to + 1``.
    """

    code = "cursor.lost"
    kind = Kind.MISSING


class LogTooNew(LittoralError):
    """The file was written by a release whose format this one cannot read or open for writing."""

    code = "log.too_new"
    kind = Kind.UNSUPPORTED


class LogInUse(LittoralError):
    """Another process has this data directory open."""

    code = "log.in_use"
    kind = Kind.CONFLICT
