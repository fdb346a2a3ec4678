"""Who may see what: audiences, the classes of policies as they appear to each, and their sight."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import apsw
import orjson

from littoral.search.adapters.paths import Paths
from littoral.search.adapters.tables import write_rows
from littoral.search.core.access import FULL, Sight
from littoral.search.model import AUDIENCES_MAX, Access, Audience, Rule

_SHAPES = (
    "SELECT json_group_array(json_array(policy, shapes || '')) FROM (SELECT policy, "
    "json_group_array(shape) AS shapes FROM (SELECT policy, shape FROM access "
    "WHERE subject IN (SELECT value FROM json_each(?)) {and_policy} ORDER BY policy, shape) "
    "GROUP BY policy)"
)
_METADATA = "_metadata/"
"""Metadata is seen by who sees what it is about."""

_CLEARED_SEEN = "DELETE FROM temp.seen WHERE aud = ?"


@dataclass(slots=True)
class _Room:
    """One audience: its number, and the classes that policies fall into for it."""

    no: int
    subjects: tuple[int, ...]
    classes: dict[tuple[int, ...], int] = field(default_factory=dict)
    sights: dict[int, Sight] = field(default_factory=dict)
    sees_all: bool = False
    fresh: bool = False
    paths: dict[str, int] = field(default_factory=dict)
    """Wild path to the version of `Paths` for which its sight is worked out."""


@dataclass(frozen=True, slots=True)
class Scope:
    """How a statement asks what may be seen."""

    audience: int | None
    """None: everything may be seen."""
    partly: bool = False
    """Whether some policies hide a part of their things."""

    @property
    def join(self) -> str:
        """Joins the class of the thing's policy, as ``a.klass``; takes `params`."""
        if self.audience is None:
            return ""
        return "CROSS JOIN temp.audience a ON a.aud = ? AND a.policy = t.policy "

    @property
    def params(self) -> list[object]:
        """Of `join`."""
        return [] if self.audience is None else [self.audience]


class Audiences:
    """Works out once for each set of subjects what it may see, and keeps it up to date."""

    def __init__(self, connection: apsw.Connection, paths: Paths) -> None:
        self._connection = connection
        self._paths = paths
        self._rooms: dict[frozenset[str], _Room] = {}
        self._rules: dict[int, tuple[Rule, ...]] = {}
        self._numbers = 0

    def scope(self, audience: Audience) -> Scope:
        """How statements for ``audience`` ask."""
        if audience.unrestricted:
            return Scope(None)
        room = self._room(audience.subjects)
        if not room.fresh:
            execute = self._connection.execute
            full = execute(
                "SELECT count(*) FROM temp.audience WHERE aud = ? AND klass = 0", (room.no,)
            ).get
            room.sees_all = full == execute("SELECT count(*) FROM policy").get
            room.fresh = True
        return Scope(None) if room.sees_all else Scope(room.no, bool(room.sights))

    def prepare(self, audience: Audience, wilds: Iterable[str]) -> None:
        """Work out what the audience sees at these wild paths, for the table ``seen``."""
        room = self._room(audience.subjects)
        version = self._paths.version
        missing = [wild for wild in wilds if room.paths.get(wild) != version]
        if not missing or not room.sights:
            return
        rows = [
            (room.no, number, no)
            for no, text in self._paths.holding(missing)
            for number, sight in room.sights.items()
            if sight.shows(text.removeprefix(_METADATA))
        ]
        write_rows(self._connection, "INSERT OR IGNORE INTO temp.seen SELECT * FROM", "", rows)
        room.paths.update(dict.fromkeys(missing, version))

    def know(self, access: Sequence[Access]) -> None:
        """Take in what policies say; their numbers exist."""
        execute = self._connection.execute
        changed: list[int] = []
        for one in access:
            policy = execute(
                "SELECT no FROM policy WHERE id = ? AND namespace = ?",
                (one.policy_id, one.namespace),
            ).get
            if policy is None:
                continue
            assert isinstance(policy, int)
            changed.append(policy)
            execute("DELETE FROM access WHERE policy = ?", (policy,))
            rows = [
                (self._number("subject", subject), policy, self._number("shape", _text(shape)))
                for subject, shape in one.shapes.items()
            ]
            write_rows(self._connection, "INSERT INTO access SELECT * FROM", "", rows)
        if changed:
            for room in self._rooms.values():
                self._classify(room, changed)

    def stale(self) -> None:
        """Policies were added or removed."""
        for room in self._rooms.values():
            room.fresh = False

    def _number(self, table: str, text: str) -> int:
        found = self._connection.execute(f"SELECT no FROM {table} WHERE text = ?", (text,)).get
        if found is None:
            self._connection.execute(f"INSERT INTO {table}(text) VALUES(?)", (text,))
            return self._connection.last_insert_rowid()
        assert isinstance(found, int)
        return found

    def _room(self, subjects: frozenset[str]) -> _Room:
        room = self._rooms.pop(subjects, None)
        numbers = self._subjects(subjects)
        if room is not None and room.subjects != numbers:
            self._drop(room)  # a policy has named one of them for the first time
            room = None
        if room is None:
            if len(self._rooms) >= AUDIENCES_MAX:
                self._drop(self._rooms.pop(next(iter(self._rooms))))
            self._numbers += 1
            room = _Room(self._numbers, numbers)
            self._classify(room, None)
        self._rooms[subjects] = room
        return room

    def _subjects(self, subjects: frozenset[str]) -> tuple[int, ...]:
        marks = ", ".join("?" * len(subjects))
        rows = self._connection.execute(
            f"SELECT no FROM subject WHERE text IN ({marks})",
            tuple(subjects),
        )
        return tuple(sorted(no for (no,) in rows))

    def _drop(self, room: _Room) -> None:
        self._connection.execute("DELETE FROM temp.audience WHERE aud = ?", (room.no,))
        self._connection.execute(_CLEARED_SEEN, (room.no,))

    def _classify(self, room: _Room, policies: Sequence[int] | None) -> None:
        """Put policies (None: all of them) into the classes of an audience."""
        arguments: tuple[bytes | str, ...] = (orjson.dumps(room.subjects).decode(),)
        and_policy = ""
        if policies is not None:
            chosen = orjson.dumps(list(policies)).decode()
            arguments = (*arguments, chosen)
            and_policy = "AND policy IN (SELECT value FROM json_each(?))"
            self._connection.execute(
                "DELETE FROM temp.audience WHERE aud = ? AND policy IN "
                "(SELECT value FROM json_each(?))",
                (room.no, chosen),
            )
        found = self._connection.execute(_SHAPES.format(and_policy=and_policy), arguments).get
        assert isinstance(found, str)
        rows: list[tuple[int, int, int]] = []
        for policy, text in orjson.loads(found):
            shapes = tuple(orjson.loads(text))
            klass = room.classes.get(shapes)
            if klass is None:
                klass = self._class_of(room, shapes)
            if klass >= 0:
                rows.append((room.no, policy, klass))
        write_rows(self._connection, "INSERT INTO temp.audience SELECT * FROM", "", rows)
        room.fresh = False

    def _class_of(self, room: _Room, shapes: tuple[int, ...]) -> int:
        sight = Sight(rule for shape in shapes for rule in self._rules_of(shape))
        if sight.is_blind:
            klass = -1
        elif sight.is_full:
            klass = FULL
        else:
            klass = len(room.classes) + 1
            room.sights[klass] = sight
            if room.paths:
                room.paths.clear()
        room.classes[shapes] = klass
        return klass

    def _rules_of(self, shape: int) -> tuple[Rule, ...]:
        rules = self._rules.get(shape)
        if rules is None:
            text = self._connection.execute("SELECT text FROM shape WHERE no = ?", (shape,)).get
            assert isinstance(text, str)
            rules = self._rules[shape] = tuple((path, bool(a)) for path, a in orjson.loads(text))
        return rules


def _text(shape: tuple[Rule, ...]) -> str:
    return orjson.dumps(shape).decode()
