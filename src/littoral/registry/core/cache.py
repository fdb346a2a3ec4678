"""Bounded memory: values by use, and passwords that were checked before."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Lru(Generic[K, V]):
    """A mapping that forgets what was not used for longest. Never holds None."""

    __slots__ = ("_items", "_limit")

    def __init__(self, limit: int) -> None:
        self._items: OrderedDict[K, V] = OrderedDict()
        self._limit = limit

    def __len__(self) -> int:
        return len(self._items)

    def get(self, key: K) -> V | None:
        """The value, or None."""
        value = self._items.get(key)
        if value is not None:
            self._items.move_to_end(key)
        return value

    def put(self, key: K, value: V) -> tuple[K, V] | None:
        """Keep ``value``; return what had to go for it."""
        self._items[key] = value
        self._items.move_to_end(key)
        return self._items.popitem(last=False) if len(self._items) > self._limit else None

    def pop(self, key: K) -> V | None:
        """Forget ``key``; return what it held."""
        return self._items.pop(key, None)

    def clear(self) -> None:
        """Forget all."""
        self._items.clear()


class Verified(Generic[V]):
    """Who was found to be who, by digest of name and password, until a time.

    Invariant: every digest is listed under its owner, and nothing else is, so both are bounded.
    """

    __slots__ = ("_by_digest", "_by_owner")

    def __init__(self, limit: int) -> None:
        self._by_digest: Lru[bytes, tuple[str, V, int]] = Lru(limit)
        self._by_owner: dict[str, tuple[bytes, ...]] = {}

    def __len__(self) -> int:
        return len(self._by_digest)

    def recall(self, digest: bytes, now_ms: int) -> V | None:
        """Who it is, if that was found before and still holds."""
        found = self._by_digest.get(digest)
        if found is None or now_ms >= found[2]:
            return None
        return found[1]

    def remember(self, digest: bytes, owner: str, value: V, *, until_ms: int) -> None:
        """Keep that ``digest`` is right for ``owner``."""
        before = self._by_digest.pop(digest)
        if before is not None:
            self._unlist(before[0], digest)
        self._by_owner[owner] = (*self._by_owner.get(owner, ()), digest)
        gone = self._by_digest.put(digest, (owner, value, until_ms))
        if gone is not None:
            self._unlist(gone[1][0], gone[0])

    def forget(self, owner: str) -> None:
        """Drop all that is known of ``owner``."""
        for digest in self._by_owner.pop(owner, ()):
            self._by_digest.pop(digest)

    def clear(self) -> None:
        """Drop all."""
        self._by_digest.clear()
        self._by_owner.clear()

    def _unlist(self, owner: str, digest: bytes) -> None:
        left = tuple(d for d in self._by_owner[owner] if d != digest)
        if left:
            self._by_owner[owner] = left
        else:
            del self._by_owner[owner]
