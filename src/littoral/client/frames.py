"""Tables for pandas, which is imported only here, and only when a table is asked for."""

from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from typing import Any

from littoral.client.errors import ClientError
from littoral.client.model import Signal
from littoral.kernel.merge import merge


class NoPandas(ClientError):
    """A table was asked for, and pandas is not installed."""

    code = "client.no_pandas"


def columns_of(columns: Mapping[str, str] | Sequence[str]) -> dict[str, str]:
    """Column name to path; of a sequence, the path is the name."""
    named = columns if isinstance(columns, Mapping) else {one: one for one in columns}
    return {name: path.strip("/") for name, path in named.items()}


def of_things(things: Iterable[Any], paths: Mapping[str, str]) -> Any:
    """A row for each thing, by its id."""
    pandas = _pandas()
    rows = list(things)
    data = {name: [at(thing, path) for thing in rows] for name, path in paths.items()}
    index = pandas.Index([thing["thingId"] for thing in rows], name="thingId", dtype=object)
    return pandas.DataFrame(data, index=index)


def of_changes(changes: Sequence[Signal], columns: Mapping[str, str] | None) -> Any:
    """A row for each change, by its instant.

    With ``columns``: what these paths had after it, for the changes that touch one of them. Without:
    revision, action, path and value of every change.
    """
    pandas = _pandas()
    if columns is None:
        rows = [(c.timestamp, c.revision, c.action, c.path, c.value) for c in changes]
        data: Mapping[str, Sequence[Any]] = {
            name: [row[at_] for row in rows]
            for at_, name in enumerate(("revision", "action", "path", "value"), start=1)
        }
        instants = [row[0] for row in rows]
    else:
        instants, data = _followed(changes, columns)
    index = pandas.DatetimeIndex(
        pandas.to_datetime(instants, utc=True, format="ISO8601"), name="timestamp"
    )
    return pandas.DataFrame(data, index=index)


def _followed(
    changes: Sequence[Signal], columns: Mapping[str, str]
) -> tuple[list[str], dict[str, list[Any]]]:
    state: Any = {}
    instants: list[str] = []
    data: dict[str, list[Any]] = {"revision": [], **{name: [] for name in columns}}
    for change in changes:
        state = after(state, change)
        if any(_touches(change.path, path) for path in columns.values()):
            instants.append(change.timestamp)
            data["revision"].append(change.revision)
            for name, path in columns.items():
                data[name].append(at(state, path))
    return instants, data


def after(state: Any, change: Signal) -> Any:
    """What ``state``, a thing, is after ``change``."""
    keys = _keys(change.path)
    match change.action:
        case "deleted":
            return _put(state, keys, None, gone=True)
        case "merged":
            return _put(state, keys, merge(_get(state, keys), change.value))
        case _:
            return _put(state, keys, change.value)


def at(value: Any, path: str) -> Any:
    """What is at a pointer; None if nothing is."""
    return _get(value, _keys(path))


def _get(value: Any, keys: tuple[str, ...]) -> Any:
    for key in keys:
        if not isinstance(value, dict) or key not in value:
            return None
        value = value[key]
    return value


def _put(value: Any, keys: tuple[str, ...], new: Any, *, gone: bool = False) -> Any:
    if not keys:
        return {} if gone else new
    inside = dict(value) if isinstance(value, dict) else {}
    if len(keys) == 1 and gone:
        inside.pop(keys[0], None)
    else:
        inside[keys[0]] = _put(inside.get(keys[0]), keys[1:], new, gone=gone)
    return inside


def _keys(path: str) -> tuple[str, ...]:
    bare = path.strip("/")
    return tuple(k.replace("~1", "/").replace("~0", "~") for k in bare.split("/")) if bare else ()


def _touches(changed: str, wanted: str) -> bool:
    one, other = _keys(changed), _keys(wanted)
    shared = min(len(one), len(other))
    return one[:shared] == other[:shared]


def _pandas() -> Any:
    try:
        # Imported here: whoever wants no tables need not have it.
        return import_module("pandas")
    except ImportError as e:
        raise NoPandas(
            "tables need pandas.", hint="Install it: pip install 'littoral[dataframe]'."
        ) from e
