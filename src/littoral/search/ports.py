"""What search needs from the world: an index that is synchronous, and someone to run its work."""

from collections.abc import Sequence
from typing import Protocol

from littoral.log import Committer, Record
from littoral.rql import Query, SortBy
from littoral.search.model import (
    Access,
    After,
    Audience,
    Explanation,
    Group,
    Hits,
    Metric,
    Wants,
)
from littoral.twin import Standing

Worker = Committer
"""Runs the work of the index one piece at a time: a thread in `app`, inline in `simulate`."""


class Index(Protocol):
    """Things, flattened, and who may see what of them. Blocking; used by one thread at a time.

    Any method may raise `IndexDamaged`; then `open` is called anew.
    """

    def open(self, log: str, *, anew: bool = False) -> int:
        """Open the files; return the position: the seq of the log up to which all is taken in.

        Args:
            log: names the log; an index of another log is emptied.
            anew: empty it in any case.

        Returns:
            -1 if it is empty and has to be made from the state of all things.
        """
        ...

    def take(self, records: Sequence[Record], own: str) -> Wants:
        """Take in committed records, in order; ``own`` is the origin of this node's own ones.

        What cannot be worked out of the records alone is in the answer.
        """
        ...

    def put(self, standings: Sequence[Standing]) -> Wants:
        """Make the index say what these things are now."""
        ...

    def know(self, access: Sequence[Access]) -> None:
        """Learn what policies say."""
        ...

    def using(self, policy_ids: Sequence[str]) -> tuple[tuple[str, str], ...]:
        """Those of the policies that are known, each with the namespaces it is known for."""
        ...

    def reached(self, seq: int) -> None:
        """Note that everything up to ``seq`` is taken in; durable with `close`.

        The first time it ends what began with an empty index.
        """
        ...

    def page(
        self,
        audience: Audience,
        query: Query | None,
        namespaces: tuple[str, ...] | None,
        sort: tuple[SortBy, ...],
        *,
        size: int,
        offset: int = 0,
        after: After | None = None,
        resume: str = "",
        time_s: float,
    ) -> Hits:
        """The things that the audience may see and the query holds for, in order.

        They begin after the hit ``after``, or after the thing of the id ``resume`` where it is now.

        Raises:
            QueryTimeExceeded: it took longer than ``time_s``.
            InvalidExpression: things have no such property.
        """
        ...

    def count(
        self,
        audience: Audience,
        query: Query | None,
        namespaces: tuple[str, ...] | None,
        *,
        time_s: float,
    ) -> int:
        """How many they are; raises what `page` raises."""
        ...

    def aggregate(
        self,
        audience: Audience,
        query: Query | None,
        namespaces: tuple[str, ...] | None,
        group_by: tuple[str, ...],
        metrics: tuple[Metric, ...],
        *,
        time_s: float,
    ) -> list[Group]:
        """Figures over them, by the values of some properties; raises what `page` raises."""
        ...

    def explanation(self) -> Explanation:
        """How the last question was answered."""
        ...

    def close(self, *, sound: bool = True) -> None:
        """Make the files durable, and let go of them. Idempotent.

        Args:
            sound: whether what they say is to be had again; if not, or without `close`, the next
                `open` begins with an empty index.
        """
        ...
