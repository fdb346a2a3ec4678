"""Plain JSON values of our own records: for statuses, metrics and logs."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from enum import Enum


def plain(value: object) -> object:
    """``value`` with dataclasses as objects, enums as their names, sets and tuples as lists."""
    if isinstance(value, Enum):
        return value.name.lower()
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(plain(k)): plain(v) for k, v in value.items()}
    if isinstance(value, str | bytes):
        return value if isinstance(value, str) else value.hex()
    if isinstance(value, Sequence | AbstractSet):
        return [plain(v) for v in value]
    return value


def members(record: object) -> dict[str, object]:
    """The members of a dataclass, plain."""
    value = plain(record)
    assert isinstance(value, dict), record
    return value
