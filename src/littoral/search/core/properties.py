"""Names of properties in a search, and where the index has them."""

from dataclasses import dataclass
from enum import StrEnum

from littoral.rql import InvalidExpression
from littoral.search.core.leaves import wild_of


class Column(StrEnum):
    """What the index knows of a thing besides its document; no policy hides it."""

    ID = "thingId"
    NAMESPACE = "namespace"
    REVISION = "_revision"
    CREATED = "_created"
    MODIFIED = "_modified"


@dataclass(frozen=True, slots=True)
class Place:
    """A place in documents: ``attributes/a``, ``features/*/properties/x``."""

    wild: str
    path: str
    """The same as ``wild`` unless a feature is named."""

    @property
    def is_wild(self) -> bool:
        """Whether it stands for every feature."""
        return self.path == self.wild

    @property
    def holders(self) -> tuple[str, ...]:
        """Paths of leaves that may hold it: itself, and arrays on the way."""
        keys = self.path.split("/")
        return tuple("/".join(keys[:count]) for count in range(2, len(keys) + 1))


Target = Column | Place

_COLUMNS = {column.value: column for column in Column}

_TOP = frozenset({"policyId", "definition", "attributes", "features", "_metadata"})
_PLAIN = frozenset({"policyId", "definition"})


def target_of(name: str) -> Target:
    """Where a property is; raise `InvalidExpression` if things have none of that name."""
    path = name.removeprefix("/")
    if path in _COLUMNS:
        return _COLUMNS[path]
    top, slash, _ = path.partition("/")
    if top not in _TOP or (slash and top in _PLAIN) or path.endswith("/") or "//" in path:
        raise InvalidExpression(
            f"things have no property {name[:120]!r} that could be searched.",
            hint="There are thingId, policyId, namespace, definition, attributes/…, "
            "features/<id or *>/properties/…, _revision, _created, _modified and _metadata/….",
            at=0,
        )
    return Place(wild_of(path), path)
