"""Paths as numbers."""

from collections.abc import Iterable
from typing import NamedTuple

import apsw

from littoral.search.core.leaves import wild_of

_CACHED_MAX = 100_000


class Known(NamedTuple):
    """A path that some thing has."""

    no: int
    wild: int


class Paths:
    """Numbers of paths: made when a path is met first, never changed.

    The same table has wild paths, which are their own ``wild``.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._known: dict[str, Known] = {}
        self._many: set[int] = {
            no for (no,) in connection.execute("SELECT no FROM path WHERE many")
        }
        self.version = 0
        """Changes when a path is new."""

    def find(self, text: str) -> Known | None:
        """The numbers of a path; None if no thing ever had it."""
        known = self._known.get(text)
        if known is None:
            row = self._connection.execute(
                "SELECT no, wild FROM path WHERE text = ?", (text,)
            ).fetchone()
            if row is None:
                return None
            known = self._remember(text, Known(*row))
        return known

    def number(self, text: str) -> Known:
        """The numbers of a path, which is made if it is new."""
        known = self.find(text)
        if known is not None:
            return known
        parent = text.rpartition("/")[0]
        parent_no = self.number(parent).no if parent else None
        wild_text = wild_of(text)
        wild = None if wild_text == text else self.number(wild_text).no
        self._connection.execute(
            "INSERT INTO path(text, wild, parent) VALUES(?, ?, ?)", (text, wild or 0, parent_no)
        )
        no = self._connection.last_insert_rowid()
        if wild is None:
            wild = no
            self._connection.execute("UPDATE path SET wild = no WHERE no = ?", (no,))
        self.version += 1
        return self._remember(text, Known(no, wild))

    def note_many(self, wild: int) -> None:
        """Note that a thing has several values at a wild path."""
        if wild not in self._many:
            self._many.add(wild)
            self._connection.execute("UPDATE path SET many = 1 WHERE no = ?", (wild,))

    def has_many(self, wild: int) -> bool:
        """Whether a thing had several values there, in arrays."""
        return wild in self._many

    def below(self, text: str) -> list[Known]:
        """A path and all paths below it."""
        rows = self._connection.execute(
            "SELECT no, wild FROM path WHERE text = ? OR (text > ? AND text < ?)",
            (text, f"{text}/", f"{text}0"),
        )
        return [Known(*row) for row in rows]

    def texts_below(self, text: str) -> list[str]:
        """A path and all wild paths below it, as texts."""
        rows = self._connection.execute(
            "SELECT text FROM path WHERE wild = no AND (text = ? OR (text > ? AND text < ?))",
            (text, f"{text}/", f"{text}0"),
        )
        return [found for (found,) in rows]

    def holding(self, wilds: Iterable[str]) -> list[tuple[int, str]]:
        """Number and text of each path whose leaves can have values at these wild paths."""
        wanted: set[int] = set()
        for text in wilds:
            keys = text.split("/")
            for count in range(1, len(keys) + 1):
                known = self.find("/".join(keys[:count]))
                if known is not None:
                    wanted.add(known.no)
        marks = ", ".join("?" * len(wanted))
        return list(
            self._connection.execute(
                f"SELECT no, text FROM path WHERE wild IN ({marks})",
                tuple(wanted),
            )
        )

    def forget(self) -> None:
        """Called after a rollback: what was made is not there."""
        self._known.clear()
        self._many = {no for (no,) in self._connection.execute("SELECT no FROM path WHERE many")}
        self.version += 1

    def _remember(self, text: str, known: Known) -> Known:
        if len(self._known) >= _CACHED_MAX:
            self._known.clear()
        self._known[text] = known
        return known
