"""What must hold for a command to be done: RQL on the thing as it is, asked before anything else.

Whoever sets a condition learns something about what it names, so it must be allowed to READ that.
"""

from collections.abc import Mapping

from littoral import rql
from littoral.kernel import pointer
from littoral.policy import READ
from littoral.twin import fields
from littoral.twin.core import patches
from littoral.twin.core.document import Document
from littoral.twin.core.metadata import MEMBER
from littoral.twin.core.state import Hot
from littoral.twin.errors import ConditionFailed
from littoral.twin.model import Caller
from littoral.twin.policies import PolicyBook

_ABOUT = frozenset(
    f"{what}:{part}" for what in ("thing", "entity") for part in ("id", "namespace", "name")
)
"""Names of what the id says; whoever addresses the thing knows it."""


def check_condition(
    book: PolicyBook, caller: Caller, hot: Hot, document: Document, query: rql.Query, *, now_ms: int
) -> None:
    """Raise `ConditionFailed` unless ``query`` holds and the caller may READ all that it names."""
    names = rql.properties(query)
    _check_readable(book, caller, hot, names)
    if not rql.matches(rql.resolve(query, now_ms), _lookup(hot, document, names)):
        raise ConditionFailed(
            f"the condition does not hold for thing {hot.id} as it is now.",
            hint="Read the thing, then decide.",
        )


def filtered_patch(
    book: PolicyBook,
    caller: Caller,
    hot: Hot,
    document: Document,
    keys: tuple[str, ...],
    patch: object,
    conditions: Mapping[str, rql.Query],
    *,
    now_ms: int,
    empty_too: bool,
) -> object:
    """``patch``, to be merged at ``keys``, without the parts whose condition is false.

    Pointers may begin at the thing or at the patch. `patches.NOTHING` if nothing is left.

    Raises:
        ConditionFailed: the caller may not READ what a condition names.
        InvalidPointer.
    """
    for text, query in conditions.items():
        names = rql.properties(query)
        _check_readable(book, caller, hot, names)
        if rql.matches(rql.resolve(query, now_ms), _lookup(hot, document, names)):
            continue
        place = pointer.parse(text)
        if place[: len(keys)] == keys:
            place = place[len(keys) :]
        patch = patches.dropped(patch, place, empty_too=empty_too)
        if patch is patches.NOTHING:
            break
    return patch


def _lookup(hot: Hot, document: Document, names: frozenset[str]) -> rql.Lookup:
    if any(name in _ABOUT for name in names):
        namespace, _, plain = hot.id.partition(":")
        parts = {"id": hot.id, "namespace": namespace, "name": plain}
        document = document | {name: parts[name.partition(":")[2]] for name in _ABOUT}
    if not any(name[:1] == "_" for name in names):
        return rql.lookup_in(document)
    special = fields.special(
        hot.id, revision=hot.revision, created_ms=hot.created_ms, modified_ms=hot.modified_ms
    )
    return rql.lookup_in(document | special)


def _check_readable(book: PolicyBook, caller: Caller, hot: Hot, names: frozenset[str]) -> None:
    for name in names:
        keys = rql.split(name)
        if keys == ("thingId",) or name in _ABOUT:
            continue
        if keys[0] == MEMBER:
            # What is known of a part of a thing is as secret as that part.
            keys = keys[1:]
        if not book.may(caller, READ, "thing:" + pointer.render(keys), hot):
            raise ConditionFailed(
                f"the condition names {name[:200]!r}, which you may not read.",
                hint="Ask for READ on it, without any revoke below, in the thing's policy.",
            )
