# Written by docs/unasync.py from littoral.client.aio; change that, then run `make docs`.
"""What things were, and how they became what they are."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from littoral.client import frames
from littoral.client.model import Signal
from littoral.client.sync.session import Session


class History:
    """Changes of a thing or a policy, from the node's log.

    How far back it reaches is a setting of the node. What a thing was at one revision or instant is
    read with ``things.get(…, at_revision=…)`` or ``at_time=…``.
    """

    def __init__(self, session: Callable[[], Session]) -> None:
        self._session = session

    def changes(
        self,
        entity_id: str,
        *,
        first: int | None = None,
        last: int | None = None,
        since: str | None = None,
        until: str | None = None,
        query: str | None = None,
    ) -> Iterator[Signal]:
        """The changes of a thing, oldest first; they are read as they are taken.

        Args:
            entity_id: the thing.
            first: revision to begin with; negative counts from the newest.
            last: revision to end with.
            since: instant to begin with, as ISO 8601.
            until: instant to end with.
            query: RQL about the changed data, ``topic:action`` or ``resource:path``.
        """
        with self._session() as session:
            for change in session.history(
                entity_id, first=first, last=last, since=since, until=until, query=query
            ):
                yield change

    def frame(
        self,
        entity_id: str,
        columns: Mapping[str, str] | Sequence[str] | None = None,
        *,
        first: int | None = None,
        last: int | None = None,
        since: str | None = None,
        until: str | None = None,
    ) -> Any:
        """The changes of a thing as a pandas DataFrame, by instant.

        Args:
            entity_id: the thing.
            columns: paths to follow, or name to path: a row for each change that touches one of
                them, with what all of them were then. None: a row for each change.
            first: as for `changes`; what was before is not known to the table.
            last: as for `changes`.
            since: as for `changes`.
            until: as for `changes`.

        Needs ``pip install 'littoral[dataframe]'``.
        """
        changes = self.changes(entity_id, first=first, last=last, since=since, until=until)
        found = [change for change in changes]
        return frames.of_changes(found, None if columns is None else frames.columns_of(columns))
