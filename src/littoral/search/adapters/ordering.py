"""Orders of hits: by id, by one value along its index, or by anything once all hits are found."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from littoral.rql import SortBy
from littoral.search.adapters.compiling import Compiler
from littoral.search.adapters.paths import Paths
from littoral.search.adapters.values import NEVER, Sql, both
from littoral.search.core.properties import Column, Place, Target, target_of
from littoral.search.model import After

_EXPRESSIONS = {
    Column.ID: "t.place",
    Column.NAMESPACE: "substr(t.id, 1, instr(t.id, ':') - 1)",
    Column.REVISION: "t.revision",
    Column.CREATED: "t.created",
    Column.MODIFIED: "t.modified",
}


class Way(Enum):
    """How hits can come in order without all being found first."""

    ID = "id"
    VALUE = "value"
    MODIFIED = "modified"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Key:
    """One property that is sorted by."""

    sort: SortBy
    target: Target
    expression: Sql
    """Its value for the thing ``t``; NULL if it has none."""

    @property
    def direction(self) -> str:
        """As SQL."""
        return "DESC" if self.sort.descending else "ASC"


@dataclass(frozen=True, slots=True)
class Order:
    """What is sorted by; the id decides last."""

    keys: tuple[Key, ...]
    id_descending: bool
    way: Way

    @property
    def terms(self) -> Sql:
        """For ``ORDER BY``."""
        texts = [f"{key.expression.text} {key.direction}" for key in self.keys]
        texts.append(f"t.place {'DESC' if self.id_descending else 'ASC'}")
        return Sql(", ".join(texts), tuple(p for key in self.keys for p in key.expression.params))


def order_of(sort: Sequence[SortBy], compiler: Compiler, paths: Paths) -> Order:
    """The order of a search. What comes after the id cannot matter."""
    keys: list[Key] = []
    for one in sort:
        target = target_of(one.property)
        if target is Column.ID:
            way = _way(keys, paths) if keys else Way.ID
            if way is Way.VALUE and one.descending and not keys[0].sort.descending:
                way = Way.NONE
            return Order(tuple(keys), one.descending, way)
        keys.append(Key(one, target, expression_of(target, compiler, descending=one.descending)))
    return Order(tuple(keys), id_descending=False, way=_way(keys, paths) if keys else Way.ID)


def _way(keys: Sequence[Key], paths: Paths) -> Way:
    if len(keys) != 1:
        return Way.NONE
    target = keys[0].target
    if target is Column.MODIFIED:
        return Way.MODIFIED
    if isinstance(target, Column):
        return Way.NONE
    wild = paths.find(target.wild)
    if wild is None or paths.find(target.path) is None or paths.has_many(wild.no):
        return Way.NONE
    # Where each thing has one value at the most, the index has each thing once.
    one_each = not target.wild.startswith("features/*") or not target.is_wild
    return Way.VALUE if one_each else Way.NONE


def expression_of(target: Target, compiler: Compiler, *, descending: bool) -> Sql:
    """The least value (or the greatest) of a property of the thing ``t``, as null if it has none."""
    if isinstance(target, Column):
        return Sql(_EXPRESSIONS[target])
    where = compiler.where(target, "l")
    if where == NEVER:
        return Sql("NULL")
    inner = both(where, compiler.visible(target, "l"))
    direction = "DESC" if descending else "ASC"
    return Sql(
        f"(SELECT l.v FROM leaf l WHERE l.thing = t.place AND {inner.text} "
        f"ORDER BY +l.v {direction} LIMIT 1)",
        inner.params,
    )


def beyond(order: Order, after: After, place: Sql) -> Sql:
    """Hits behind ``after`` in the order; ``place`` says on which side of its id a place is."""
    found = place
    for key, value in reversed(list(zip(order.keys, after.keys, strict=False))):
        e, params = key.expression
        if value is None:
            farther = NEVER if key.sort.descending else Sql(f"{e} IS NOT NULL", params)
        elif key.sort.descending:
            farther = Sql(f"({e} < ? OR {e} IS NULL)", (*params, value, *params))
        else:
            farther = Sql(f"{e} > ?", (*params, value))
        same = Sql(f"({e} IS ? AND {found.text})", (*params, value, *found.params))
        if farther == NEVER:
            found = same
        else:
            found = Sql(f"({farther.text} OR {same.text})", (*farther.params, *same.params))
    return found


def place_of(order: Order) -> Place:
    """The one property that `Way.VALUE` walks along."""
    target = order.keys[0].target
    assert isinstance(target, Place)
    return target
