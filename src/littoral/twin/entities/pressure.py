"""How many changes of one thing or policy may wait for their commit."""

from littoral.twin.core.state import Hot
from littoral.twin.errors import TooManyModifyingRequests
from littoral.twin.model import MODIFICATIONS_WAITING_MAX


def check_pressure(hot: Hot, committed: int) -> None:
    """Raise if too many changes of an entity, the newest of which is not durable, wait for that.

    They are counted from a revision that is known to be durable; a later one is marked now and
    then, and takes its place when it is durable. So the count errs by one commit, and costs one
    tuple an entity.
    """
    counted_from, marked, marked_seq = hot.pressure or (hot.revision, 0, 0)
    if marked_seq <= committed:
        counted_from = marked or counted_from
        hot.pressure = (counted_from, hot.revision, hot.last_seq)
    waiting = hot.revision - counted_from
    if waiting >= MODIFICATIONS_WAITING_MAX:
        raise TooManyModifyingRequests(
            f"{waiting} changes of {hot.id} wait to become durable.",
            hint="Wait for the answers to some of them, then go on.",
        )
