"""What has to be found without reading every policy: who imports whom, and who is due when.

Kept as keys of the log, written with the record that makes them true:

* ``import/<imported>/<importer>``: the importer names the imported policy;
* ``due/<ms>/<policy>``: something is to be done for the policy then (see `expiry`);
* ``policy/<policy>``: what the other keys of the policy are, and what its subjects were told.

An id has no slash in it, so the keys can be taken apart again.
"""

from collections.abc import Callable, Iterator, Mapping

import msgspec

from littoral.log import Log
from littoral.policy import Policy

SPACE = "policies"
_MARK = "complete"
_DIGITS = 15
_CHUNK = 1000
_END = "0"
"""The character after the slash: a scan after ``import/<id>0`` is beyond all importers of the id."""


class Notes(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """What is remembered of one policy besides its document."""

    imports: tuple[str, ...] = ()
    due_ms: int = 0
    subjects: Mapping[str, tuple[int, str]] = {}
    """Subjects that leave by themselves or are told: their expiry (0: none), and as whom
    they are to be told (the JSON of their announcement settings; empty: not at all)."""
    told: Mapping[str, int] = {}
    """Subjects that were told that they leave, and when that would have been."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Notes).decode
NOTHING = Notes()


class PolicyIndex:
    """Reads and writes those keys. Derived: made anew by `build` where it is missing."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._imported: set[str] = set()
        self._marked = False
        self.reload()

    @property
    def complete(self) -> bool:
        """Whether policies written before were noted."""
        return self._marked

    def reload(self) -> None:
        """Look again at what is stored: a commit failed."""
        self._marked = self._log.get(SPACE, _MARK) is not None
        self._imported = set(self._distinct())

    def mark(self) -> None:
        """Say that all policies are noted."""
        self._marked = True
        self._log.put(SPACE, _MARK, b"1")

    def notes(self, policy_id: str) -> Notes:
        """What is remembered of a policy."""
        data = self._log.get(SPACE, f"policy/{policy_id}")
        return NOTHING if data is None else _decode(data)

    def note(self, policy_id: str, before: Notes, after: Notes) -> None:
        """Remember ``after`` instead of ``before``."""
        if after == before:
            return
        put = self._log.put
        for gone in set(before.imports) - set(after.imports):
            put(SPACE, f"import/{gone}/{policy_id}", None)
        for new in set(after.imports) - set(before.imports):
            put(SPACE, f"import/{new}/{policy_id}", b"")
            self._imported.add(new)
        if before.due_ms != after.due_ms:
            if before.due_ms:
                put(SPACE, _due_key(before.due_ms, policy_id), None)
            if after.due_ms:
                put(SPACE, _due_key(after.due_ms, policy_id), b"")
        put(SPACE, f"policy/{policy_id}", None if after == NOTHING else _encode(after))

    def due(self, now_ms: int, limit: int) -> tuple[list[str], int | None]:
        """Policies that are due at ``now_ms``, at most ``limit``; and when the next one is."""
        rows = self._log.scan(SPACE, prefix="due/", limit=limit + 1)
        found: list[str] = []
        for key, _ in rows:
            _, at, policy_id = key.split("/", 2)
            if int(at) > now_ms:
                return found, int(at)
            if len(found) == limit:
                return found, now_ms
            found.append(policy_id)
        return found, None

    def importers(self, policy_id: str) -> Iterator[str]:
        """The policies that name ``policy_id`` in their imports."""
        if policy_id not in self._imported:
            return
        prefix = f"import/{policy_id}/"
        for key in self._keys(prefix):
            yield key[len(prefix) :]

    def affected_by(self, policy_id: str) -> set[str]:
        """``policy_id`` and all that import it, directly or by way of others."""
        found = {policy_id}
        wave = [policy_id]
        while wave:
            importer = {one for known in wave for one in self.importers(known)}
            wave = [one for one in importer if one not in found]
            found.update(wave)
        return found

    def build(self, policies: Iterator[Policy], notes_of: Callable[[Policy], Notes]) -> None:
        """Note all ``policies``: a log of an earlier release has no notes."""
        for policy in policies:
            self.note(policy.id, self.notes(policy.id), notes_of(policy))
        self.mark()

    def _keys(self, prefix: str) -> Iterator[str]:
        after = prefix
        while True:
            rows = self._log.scan(SPACE, prefix=prefix, after=after, limit=_CHUNK)
            for key, _ in rows:
                yield key
            if len(rows) < _CHUNK:
                return
            after = rows[-1][0]

    def _distinct(self) -> Iterator[str]:
        """Every imported policy once: read through, leaping over the many importers of one."""
        after = "import/"
        while rows := self._log.scan(SPACE, prefix="import/", after=after, limit=_CHUNK):
            found = dict.fromkeys(key.split("/", 2)[1] for key, _ in rows)
            yield from found
            after = rows[-1][0]
            if len(found) == 1:
                after = f"import/{next(iter(found))}{_END}"


def imports_of(policy: Policy) -> tuple[str, ...]:
    """All policies that ``policy`` names in its imports."""
    named = {name for one in policy.imports for name in (one.policy, *one.transitive)}
    return tuple(sorted(named))


def _due_key(ms: int, policy_id: str) -> str:
    return f"due/{max(ms, 0):0{_DIGITS}d}/{policy_id}"
