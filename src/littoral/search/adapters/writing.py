"""What changes the index: records leaf by leaf, things as a whole, and what policies say."""

from collections.abc import Sequence
from typing import Any

import apsw
import orjson

from littoral.kernel.ids import namespace_of
from littoral.kernel.time import ms_of
from littoral.log import Record
from littoral.search.adapters.paths import Known, Paths
from littoral.search.adapters.tables import write_rows
from littoral.search.core.leaves import encoded, escaped, flatten
from littoral.search.core.places import between
from littoral.search.model import CHUNK_RECORDS_MAX, Value, Wants
from littoral.twin import Standing

_THING = "thing:"
_POLICY = "policy:"
_PLAIN_HEADERS = frozenset({"id", "by", "hops", "kept", "clock", "content-type"})
"""Headers of a record that say nothing about what it changes."""

_RECENT_MAX = 1024
_POLICIES_CACHED_MAX = 20_000

_CHANGE_ROWS = (8, 64, CHUNK_RECORDS_MAX)
"""Rows per statement; what is too many is filled up with rows that change nothing."""

_Change = tuple[str | None, int, int, Value, int, int, int]
"""A row of the view ``change``: thing, wild path, path, value, seq, revision, last change."""

_NO_CHANGE: _Change = (None, 0, 0, None, 0, 0, 0)


class Writer:
    """Takes changes in."""

    def __init__(self, connection: apsw.Connection, paths: Paths) -> None:
        self._connection = connection
        self._paths = paths
        self._policies: dict[tuple[str, str], int] = {}
        self._recent: dict[bytes, None] = {}
        self._absent: dict[str, tuple[int, int]] = {}
        self._unfit: dict[str, None] = {}
        connection.create_scalar_function("unfit", self._note_unfit, 1)

    # Records.

    def take(self, records: Sequence[Record], own: str) -> Wants:
        """Take in what records say leaf by leaf; return what is wanted."""
        wanted: dict[str, None] = {}
        changes: dict[tuple[str, int], _Change] = {}
        policies: dict[str, None] = {}
        taken = 0
        for record in records:
            entity = record.entity
            if not entity.startswith(_THING):
                if entity.startswith(_POLICY):
                    policies[entity[len(_POLICY) :]] = None
                continue
            if not record.revision:
                continue
            thing_id = entity[6:]
            if thing_id in wanted:
                continue
            leaves = self._leaves(record) if record.origin == own else None
            if leaves is None:
                wanted[thing_id] = None
                continue
            seq, revision, modified = record.seq, record.revision, ms_of(record.hlc)
            for known, value in leaves:
                key = (thing_id, known.no)
                changes.pop(key, None)  # the rows go in by their seq
                changes[key] = (thing_id, known.wild, known.no, value, seq, revision, modified)
            taken += 1
        if wanted:
            rows = [row for row in changes.values() if row[0] not in wanted]
        else:
            rows = list(changes.values())
        wanted.update(dict.fromkeys(self._change(rows)))
        return Wants(things=tuple(wanted), changed=tuple(policies), taken=taken)

    def _change(self, rows: Sequence[_Change]) -> list[str]:
        """Set leaves; return the things of which that cannot be said leaf by leaf."""
        at = 0
        while at < len(rows):
            left = len(rows) - at
            size = next((size for size in _CHANGE_ROWS if size >= left), _CHANGE_ROWS[-1])
            part = [*rows[at : at + size], *[_NO_CHANGE] * (size - left)]
            marks = ", ".join(["(?, ?, ?, ?, ?, ?, ?)"] * size)
            fields = [field for row in part for field in row]
            self._connection.execute(f"INSERT INTO temp.change VALUES {marks}", fields)
            at += size
        unfit = list(self._unfit)
        self._unfit.clear()
        return unfit

    def _note_unfit(self, *arguments: Any) -> None:
        self._unfit[arguments[0]] = None

    def _leaves(self, record: Record) -> list[tuple[Known, Value]] | None:
        """The leaves that a record sets to scalars; None if it does anything else."""
        headers = record.headers
        if headers is not None and not _PLAIN_HEADERS.issuperset(headers):
            return None
        path = record.path[1:]
        if record.kind == "thing.merged":
            value = orjson.loads(record.value)
        elif record.kind == "thing.modified" and path:
            value = orjson.loads(record.value)
            if isinstance(value, dict):
                return None
        else:
            return None
        leaves: list[tuple[Known, Value]] = []
        return leaves if self._collect(value, path, leaves) else None

    def _collect(self, value: object, path: str, leaves: list[tuple[Known, Value]]) -> bool:
        if isinstance(value, dict):
            if not value:
                return False
            below = f"{path}/" if path else ""
            return all(self._collect(v, below + escaped(k), leaves) for k, v in value.items())
        if value is None or isinstance(value, list) or path in {"policyId", "thingId"}:
            return False
        known = self._paths.find(path)
        if known is None:
            return False
        leaves.append((known, encoded(value)))
        return True

    # Things.

    def put(self, standings: Sequence[Standing]) -> Wants:
        """Make the index say what things are now."""
        present = sorted((s for s in standings if s.document is not None), key=lambda s: s.thing_id)
        self.remove([s.thing_id for s in standings if s.document is None])
        if not present:
            return Wants()
        places, fresh = self._places([s.thing_id for s in present])
        wanted: dict[tuple[str, str], None] = {}
        old_rows: list[tuple[object, ...]] = []
        new_rows: list[tuple[object, ...]] = []
        things: list[tuple[object, ...]] = []
        lacking: list[tuple[str, bytes]] = []
        for standing in present:
            assert standing.document is not None
            place = places[standing.thing_id]
            document = orjson.loads(standing.document)
            policy = self._policy(standing.policy_id, namespace_of(standing.thing_id), wanted)
            rows = new_rows if standing.thing_id in fresh else old_rows
            lacking += self._rows(place, document, rows)
            things.append(
                (
                    place, standing.thing_id, policy, standing.revision, standing.created_ms,
                    standing.modified_ms, standing.seq, int("_metadata" in document),
                )
            )  # fmt: skip
        self._store(things, new_rows, old_rows, [places[s.thing_id] for s in present])
        write_rows(self._connection, "INSERT OR IGNORE INTO temp.absent SELECT * FROM", "", lacking)
        return Wants(policies=tuple(wanted))

    def _rows(
        self, place: bytes, document: dict[str, object], rows: list[tuple[object, ...]]
    ) -> list[tuple[str, bytes]]:
        """Add a thing's rows; return for which of the kept properties it has no value."""
        having: set[tuple[int, int]] = set()
        watched = bool(self._absent)
        for leaf in flatten(document):
            known = self._paths.number(leaf.path)
            wild = known.wild
            if leaf.number:
                wild = self._paths.number(leaf.wild).no
                self._paths.note_many(wild)
            rows.append((place, wild, known.no, leaf.number, leaf.value))
            if watched and not leaf.number and leaf.value is not None:
                having.add((wild, known.no))
        return [(name, place) for name, where in self._absent.items() if where not in having]

    def _store(
        self,
        things: list[tuple[object, ...]],
        new_rows: list[tuple[object, ...]],
        old_rows: list[tuple[object, ...]],
        places: list[bytes],
    ) -> None:
        connection = self._connection
        write_rows(
            connection,
            "INSERT INTO thing SELECT * FROM",
            "WHERE true ON CONFLICT(place) DO UPDATE SET policy = excluded.policy, "
            "revision = excluded.revision, created = excluded.created, "
            "modified = excluded.modified, seq = excluded.seq, hidden = excluded.hidden",
            things,
        )
        write_rows(connection, "INSERT INTO leaf SELECT * FROM", "", new_rows)
        if self._absent:
            write_rows(
                connection, "DELETE FROM temp.absent WHERE place IN", "", [(p,) for p in places]
            )
        if old_rows:
            write_rows(connection, "INSERT INTO temp.incoming SELECT * FROM", "", old_rows)
            connection.execute(
                "DELETE FROM leaf WHERE thing IN (SELECT DISTINCT thing FROM temp.incoming) "
                "AND NOT EXISTS (SELECT 1 FROM temp.incoming n WHERE n.thing = leaf.thing "
                "AND n.wild = leaf.wild AND n.path = leaf.path AND n.i = leaf.i AND n.v IS leaf.v)"
            )
            connection.execute("INSERT OR IGNORE INTO leaf SELECT * FROM temp.incoming")
            connection.execute("DELETE FROM temp.incoming")

    def remove(self, ids: Sequence[str]) -> None:
        """Forget things."""
        for thing_id in ids:
            place = self._connection.execute(
                "SELECT place FROM thing WHERE id = ?", (thing_id,)
            ).get
            if place is None:
                continue
            self._connection.execute("DELETE FROM leaf WHERE thing = ?", (place,))
            self._connection.execute("DELETE FROM thing WHERE place = ?", (place,))
            if self._absent:
                self._connection.execute("DELETE FROM temp.absent WHERE place = ?", (place,))

    def _places(self, ids: Sequence[str]) -> tuple[dict[str, bytes], set[str]]:
        """Places of things, given to those that are new; ``ids`` are in order."""
        marks = ", ".join("?" * len(ids))
        text = self._connection.execute(
            f"SELECT json_group_array(json_array(id, hex(place))) FROM thing WHERE id IN ({marks})",
            tuple(ids),
        ).get
        assert isinstance(text, str)
        places = {thing_id: bytes.fromhex(place) for thing_id, place in orjson.loads(text)}
        fresh: set[str] = set()
        low: bytes | None = None
        high: bytes | None = None
        high_id: str | None = ""
        for thing_id in ids:
            if thing_id in places:
                high_id = ""
                continue
            if high_id == "" or (high_id is not None and thing_id > high_id):
                low, high, high_id = self._neighbours(thing_id)
            place = between(low, high, hint=self._hint(low, high))
            self._recent[place] = None
            if len(self._recent) > _RECENT_MAX:
                del self._recent[next(iter(self._recent))]
            places[thing_id] = low = place
            fresh.add(thing_id)
        return places, fresh

    def _neighbours(self, thing_id: str) -> tuple[bytes | None, bytes | None, str | None]:
        low = self._connection.execute(
            "SELECT place FROM thing WHERE id < ? ORDER BY id DESC LIMIT 1", (thing_id,)
        ).get
        above = self._connection.execute(
            "SELECT place, id FROM thing WHERE id > ? ORDER BY id LIMIT 1", (thing_id,)
        ).fetchone()
        assert low is None or isinstance(low, bytes)
        return (low, None, None) if above is None else (low, above[0], above[1])

    def _hint(self, low: bytes | None, high: bytes | None) -> int:
        if low in self._recent:
            return 1
        return -1 if high in self._recent else 0

    # Policies.

    def _policy(self, policy_id: str, namespace: str, wanted: dict[tuple[str, str], None]) -> int:
        key = (policy_id, namespace)
        number = self._policies.get(key)
        if number is None:
            found = self._connection.execute(
                "SELECT no FROM policy WHERE id = ? AND namespace = ?", key
            ).get
            if found is None:
                self._connection.execute("INSERT INTO policy(id, namespace) VALUES(?, ?)", key)
                found = self._connection.last_insert_rowid()
                wanted[key] = None
            assert isinstance(found, int)
            if len(self._policies) >= _POLICIES_CACHED_MAX:
                self._policies.clear()
            number = self._policies[key] = found
        return number

    # Things that lack a property.

    def keep_absent(self, name: str, wild: int, path: int, kept_max: int) -> None:
        """Keep in ``temp.absent`` which things have no value at a path, from now on."""
        where = self._absent.pop(name, None)
        if where is None:
            if len(self._absent) >= kept_max:
                oldest = next(iter(self._absent))
                del self._absent[oldest]
                self._connection.execute("DELETE FROM temp.absent WHERE prop = ?", (oldest,))
            self._connection.execute(
                "INSERT INTO temp.absent SELECT ?, place FROM thing t WHERE NOT EXISTS ("
                "SELECT 1 FROM leaf l WHERE l.thing = t.place AND l.wild = ? AND l.path = ? "
                "AND l.i = 0 AND +l.v IS NOT NULL)",
                (name, wild, path),
            )
            where = (wild, path)
        self._absent[name] = where

    def forget(self) -> None:
        """Called after a rollback: what was made is not there."""
        self._policies.clear()
        self._absent.clear()
        self._connection.execute("DELETE FROM temp.absent")
