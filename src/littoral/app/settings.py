"""Settings of a process: file, then environment, then flags; each value remembers where it is from.

The environment's names are ``LITTORAL_SECTION__KEY`` (``LITTORAL_MQTT__LISTEN``); the file is TOML
with the same sections. Tables with keys of the user's choice, such as ``auth.issuers``, are JSON in
the environment.
"""

import difflib
import os
import tomllib
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from littoral.kernel.errors import LittoralError
from littoral.node import NodeConfig

PREFIX = "LITTORAL_"
NOT_SETTINGS = frozenset(
    f"LITTORAL_{name}" for name in ("API_KEY", "CONFIG", "PASSWORD", "URL", "USER")
)
"""The command line's own variables, which are no settings of a node."""


class InvalidSetting(LittoralError):
    """A setting is unknown or its value has the wrong form; the sentence says where it stands."""

    code = "littoral.setting.invalid"


@dataclass(frozen=True, slots=True)
class Setting:
    """One effective value."""

    name: str
    value: object
    source: str


def names() -> list[str]:
    """Every setting, dotted: ``mqtt.listen``."""
    return [name for name, _ in _walk(msgspec.to_builtins(NodeConfig()))]


def _walk(value: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Every setting of a tree; a table whose keys the user chooses is one setting."""
    for key, child in value.items():
        if isinstance(child, dict) and prefix + key not in _TABLES:
            yield from _walk(child, f"{prefix}{key}.")
        else:
            yield prefix + key, child


def _tables(kind: type, prefix: str = "") -> Iterator[str]:
    """Names of the settings that are tables with keys of the user's choice."""
    for field in msgspec.structs.fields(kind):
        if typing.get_origin(field.type) is dict:
            yield prefix + field.name
        elif isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            yield from _tables(field.type, f"{prefix}{field.name}.")


_TABLES = frozenset(_tables(NodeConfig))


def load(
    flags: Mapping[str, object], *, file: Path | None, environment: Mapping[str, str] | None = None
) -> tuple[NodeConfig, list[Setting]]:
    """Put the settings together.

    Args:
        flags: dotted name to value, for what was given on the command line.
        file: a TOML file that must exist, or None.
        environment: variables; the process's own if None.

    Returns:
        The configuration, and every effective value with its source, in order of the names.

    Raises:
        InvalidSetting: an unknown name or a value of the wrong type; says which and where.
    """
    found: dict[str, tuple[object, str]] = {}
    if file is not None:
        found |= {name: (value, str(file)) for name, value in _read_file(file)}
    found |= dict(_read_environment(os.environ if environment is None else environment))
    found |= {name: (value, "flag") for name, value in flags.items() if value is not None}
    known = set(names())
    for name, (_, source) in found.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise InvalidSetting(
                f"{source} sets {name}, which is no setting.",
                hint=f"Did you mean {near[0]}?" if near else "littoral config lists them all.",
            )
    tree: dict[str, object] = {}
    for name, (value, source) in found.items():
        _put(tree, name.split("."), value)
        _check(name, value, source)
    config = msgspec.convert(tree, NodeConfig, strict=False)
    effective = dict(_walk(msgspec.to_builtins(config)))
    return config, [
        Setting(name, value, found[name][1] if name in found else "default")
        for name, value in sorted(effective.items())
    ]


def _check(name: str, value: object, source: str) -> None:
    tree: dict[str, object] = {}
    _put(tree, name.split("."), value)
    try:
        msgspec.convert(tree, NodeConfig, strict=False)
    except msgspec.ValidationError as e:
        raise InvalidSetting(
            f"{source} sets {name} to {value!r}: {str(e).partition(' - at')[0]}.",
            hint="littoral config shows every setting and its value.",
        ) from e


def _put(tree: dict[str, object], keys: list[str], value: object) -> None:
    for key in keys[:-1]:
        child = tree.setdefault(key, {})
        assert isinstance(child, dict)
        tree = child
    tree[keys[-1]] = value


def _read_file(file: Path) -> Iterator[tuple[str, object]]:
    try:
        with file.open("rb") as f:
            yield from _walk(tomllib.load(f))
    except OSError as e:
        raise InvalidSetting(f"the settings file {file} cannot be read: {e.strerror}.") from e
    except tomllib.TOMLDecodeError as e:
        raise InvalidSetting(f"{file} is not TOML: {e}.") from e


def _read_environment(
    environment: Mapping[str, str],
) -> Iterator[tuple[str, tuple[object, str]]]:
    lists = {n for n, v in _walk(msgspec.to_builtins(NodeConfig())) if isinstance(v, list | tuple)}
    for variable, text in environment.items():
        if not variable.startswith(PREFIX) or variable in NOT_SETTINGS:
            continue
        name = variable.removeprefix(PREFIX).lower().replace("__", ".")
        value: object = text
        if name in _TABLES or (name in lists and text.startswith("[")):
            value = _read_json(variable, text)
        elif name in lists:
            value = text.split(",")
        yield name, (value, variable)


def _read_json(variable: str, text: str) -> object:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as e:
        raise InvalidSetting(
            f"{variable} is not JSON: {e}.", hint="In a settings file it is a table of TOML."
        ) from e
