"""What commands need of the engine, so that a transaction can put something else in its place."""

from collections.abc import Mapping
from typing import Protocol

from littoral.log import Headers, Log, Record
from littoral.twin.core.state import After, Hot


class Journal(Protocol):
    """Loads things and takes their changes."""

    @property
    def log(self) -> Log:
        """Where changes go, or would go."""

    @property
    def hot(self) -> Mapping[str, Hot]:
        """What is loaded."""

    def load(self, entity: str) -> Hot:
        """The state of an entity; an empty one if it never existed."""

    def write(
        self,
        hot: Hot,
        cls: int,
        kind: str,
        path: str,
        value: bytes,
        *,
        headers: Headers | None = None,
        after: After | None = None,
    ) -> Record:
        """Take a change of ``hot``, which is decided."""

    def history(self, entity: str, *, first: int, last: int) -> list[Record]:
        """Records with first <= revision <= last, ascending."""

    def at_revision(self, entity: str, revision: int) -> Hot:
        """The entity as it was at a revision."""

    def revision_at(self, entity: str, at_ms: int) -> int:
        """The newest revision at or before ``at_ms``."""
