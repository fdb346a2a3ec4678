"""The telling half: where records are gone that the peer has not got, it is told what they came to.

A telling goes through all that the peer may see, in the order of keys, in pieces that are durable
at the peer one by one; so it goes on after a cut where it was. Beside it records flow, from where
the telling began: what a piece contains already changes nothing when its record comes.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec

from littoral.edge.blocked import SPACE
from littoral.edge.core.effects import AskedAgain, PartTaken
from littoral.edge.core.frames import Item, Known, Part, deflate
from littoral.edge.core.telling import Telling
from littoral.edge.model import FRAME_RAW_TARGET, PART_ITEMS_MAX, Scope
from littoral.edge.ports import LinkLog
from littoral.edge.states import States
from littoral.kernel import json
from littoral.kernel.ids import NodeId
from littoral.log import RecordClass

KIND = "link.gap"
"""The record that says that a peer was told states in place of records that are gone."""

RETRY_S = 10.0
"""How soon a piece is told again that was refused for its stamp."""

_OWED_SCAN = 1000


class _Round(msgspec.Struct, frozen=True):
    """A telling as it is kept in the log, until it is over."""

    name: str
    key: str
    """Everything up to here is durable at the peer."""
    gaps: dict[int, int]
    """By class, after which seq the records go on."""
    scope: list[str]
    count: int
    """Tellings to this peer that were begun."""


_encode = msgspec.json.encode
_decode = msgspec.json.Decoder(_Round).decode


@dataclass(frozen=True, slots=True)
class _Flying:
    number: int
    upto: str
    last: bool
    owed: Mapping[str, int] = field(default_factory=dict)
    """Entities that were told again, and when they were last asked for."""


class Teller:
    """Tells one peer, during one session.

    Invariant: a piece leaves only when all that it says is durable here, and before any record that
    is newer than it.
    """

    def __init__(
        self,
        log: LinkLog,
        states: States,
        session: Telling,
        *,
        peer: NodeId,
        scope: Callable[[], Scope],
        held: Callable[[], list[Known]],
        hold_back: Callable[[Callable[[], None]], None],
        done: Callable[[], None],
    ) -> None:
        self._log = log
        self._states = states
        self._session = session
        self._peer = peer
        self._scope = scope
        self._held = held
        self._hold_back = hold_back
        self._done = done
        self._key = f"telling/{peer}"
        self._owed_prefix = f"owed/{peer}/"
        self._round: _Round | None = None
        self._next_key = ""
        self._exhausted = False
        self._flying: deque[_Flying] = deque()
        self._owed: dict[str, int] = {}
        self._owed_flying: set[str] = set()
        self._asked = 0
        self._number = 0
        self._taken = False
        self._paused_until_s = 0.0

    def begin(self, positions: Mapping[int, int], *, anew: bool = False) -> bool:
        """The session is open, and records go on from ``positions``: tell, if they cannot say all.

        Args:
            positions: per class, up to where the peer has our records.
            anew: tell everything, whatever they say.

        Returns:
            Whether there is a telling.
        """
        if not self._session.takes:
            return False
        self._load_owed()
        log, before = self._log, self._load()
        dropped = {int(cls): log.own_dropped(cls) for cls in RecordClass}
        gaps = {cls: seq for cls, seq in dropped.items() if positions.get(cls, 0) < seq}
        scope = _named(self._scope())
        unfinished = self._session.unfinished
        if (
            before is not None
            and before.name
            and before.name == unfinished
            and before.scope == scope
            and all(before.gaps.get(cls, 0) >= seq for cls, seq in gaps.items())
        ):
            self._round = before
        elif gaps or unfinished or anew:
            self._round = self._new(before, scope, gaps, positions)
        elif before is not None and before.name:
            self._end(before)
        if self._round is None:
            return False
        self._next_key = self._round.key
        for cls, seq in self._round.gaps.items():
            self._session.skip(cls, seq)
        return True

    @property
    def is_telling(self) -> bool:
        """Whether a telling is not over, or something is still to be told again."""
        return self._round is not None or bool(self._owed)

    @property
    def goes_first(self) -> bool:
        """Whether no record may be sent yet: the peer does not know that it is being told.

        What it acknowledged of records would look, after a cut, as if it had all before them.
        """
        begun = self._round is not None and self._round.name == self._session.unfinished
        return self._round is not None and not begun and not self._taken

    def pump(self, now_s: float) -> bool:
        """Send one piece, if there is one and room for it."""
        if not self._session.may_tell or now_s < self._paused_until_s:
            return False
        waiting = [entity for entity in self._owed if entity not in self._owed_flying]
        if waiting:
            return self._tell_again(waiting[:PART_ITEMS_MAX])
        if self._round is None or self._exhausted:
            return False
        scope = self._scope()
        piece = self._states.read(
            scope, self._next_key, limit=PART_ITEMS_MAX, bytes_max=FRAME_RAW_TARGET
        )
        after, self._next_key = self._next_key, piece.upto
        self._exhausted = not piece.upto
        gaps = [
            Known(self._log.origin, cls, seq)
            for cls, seq in self._round.gaps.items()
            if self._exhausted
        ]
        self._send(
            piece.items, _Flying(self._number, piece.upto, self._exhausted), after=after, gaps=gaps
        )
        return True

    def owe(self, entity: str) -> None:
        """Tell the peer ``entity`` as it is, as soon as possible; durable with the open batch."""
        self._asked += 1
        self._owed[entity] = self._asked
        self._owed_flying.discard(entity)
        self._log.put(SPACE, self._owed_prefix + entity, b"1")

    def answered(self, effect: PartTaken | AskedAgain, *, now_s: float) -> None:
        """The peer has something to say to what it was told."""
        match effect:
            case PartTaken(number, refused):
                self._was_taken(number, refused=refused, now_s=now_s)
            case AskedAgain(entities):
                for entity in entities:
                    self.owe(entity)

    def _was_taken(self, number: int, *, refused: bool, now_s: float) -> None:
        """The peer has committed a piece, or refused it for now."""
        if not self._flying or self._flying[0].number != number:
            return  # one that was sent before a refused one is told again
        flying = self._flying.popleft()
        if refused:
            self._paused_until_s = now_s + RETRY_S
            self._flying.clear()
            self._owed_flying.clear()
            if self._round is not None:
                self._next_key, self._exhausted = self._round.key, False
            return
        self._taken = self._taken or not flying.owed
        for entity, asked in flying.owed.items():
            self._owed_flying.discard(entity)
            if self._owed.get(entity) == asked:
                del self._owed[entity]
                self._log.put(SPACE, self._owed_prefix + entity, None)
        if flying.owed or self._round is None:
            return
        if flying.last:
            self._end(self._round)
            self._done()
        else:
            self._store(msgspec.structs.replace(self._round, key=flying.upto))

    def _tell_again(self, entities: list[str]) -> bool:
        owed = {entity: self._owed[entity] for entity in entities}
        self._owed_flying.update(owed)
        items = self._states.some(entities, self._scope())
        self._send(items, _Flying(self._number, "", last=False, owed=owed), after="", gaps=[])
        return True

    def _send(self, items: list[Item], flying: _Flying, *, after: str, gaps: list[Known]) -> None:
        scope, log = self._scope(), self._log
        telling = "" if flying.owed or self._round is None else self._round.name
        blob, raw_bytes, zipped = deflate(items)
        part = Part(
            origin=log.origin,
            telling=telling,
            number=flying.number,
            after=after,
            upto=flying.upto,
            last=flying.last,
            tenants=sorted(scope.tenants) if telling else [],
            hlc=log.last_hlc,
            held=self._held(),
            gaps=gaps,
            count=len(items),
            raw_bytes=raw_bytes,
            zipped=zipped,
            blob=blob,
        )
        self._number += 1
        self._flying.append(flying)
        if log.committed == log.head:
            self._session.tell(part)
        else:
            # What it says must not vanish here, and no newer record may overtake it.
            self._hold_back(lambda: self._session.tell(part))

    def _new(
        self,
        before: _Round | None,
        scope: list[str],
        gaps: Mapping[int, int],
        positions: Mapping[int, int],
    ) -> _Round:
        log = self._log
        count = 1 if before is None else before.count + 1
        head = log.committed
        made = _Round(f"{log.origin}#{count}", "", dict.fromkeys(gaps, head), scope, count)
        self._store(made)
        if gaps:
            lost = [
                {"class": RecordClass(c).name.lower(), "from": positions.get(c, 0) + 1, "to": seq}
                for c, seq in gaps.items()
            ]
            report = json.encode({"peer": self._peer, "lost": lost})
            log.append(RecordClass.EVENT, KIND, f"log:{log.node}", 0, 0, "/", report)
        return made

    def _store(self, kept: _Round) -> None:
        self._round = kept
        self._log.put(SPACE, self._key, _encode(kept))

    def _end(self, kept: _Round) -> None:
        # Its number stays: a name must not be given twice.
        self._store(_Round("", "", {}, [], kept.count))
        self._round = None

    def _load(self) -> _Round | None:
        stored = self._log.get(SPACE, self._key)
        return None if stored is None else _decode(stored)

    def _load_owed(self) -> None:
        after = ""
        while rows := self._log.scan(
            SPACE, prefix=self._owed_prefix, after=after, limit=_OWED_SCAN
        ):
            for key, _ in rows:
                self._owed[key.removeprefix(self._owed_prefix)] = 0
            after = rows[-1][0]


def _named(scope: Scope) -> list[str]:
    return (
        ["*"]
        if scope.everything
        else sorted([*scope.tenants, *(f"{n}:" for n in scope.namespaces)])
    )
