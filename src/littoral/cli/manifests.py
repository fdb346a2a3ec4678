"""Manifests in YAML files: read as a stream, each with its place, so that errors name the line."""

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import yaml

from littoral.kernel.errors import LittoralError

SUFFIXES = (".yaml", ".yml", ".json")
_PATH = re.compile(r"'([A-Za-z][\w.]*)'|`\$\.([^`]*)`")
_STEP = re.compile(r"[^.\[\]]+")


class InvalidManifestFile(LittoralError):
    """A manifest cannot be read; the sentence names the file and the line."""

    code = "cli.manifest.invalid"


@dataclass(frozen=True, slots=True)
class Manifest:
    """One document of a file."""

    value: Mapping[str, object]
    source: str
    node: yaml.Node

    @property
    def title(self) -> str:
        """``Device TENANT/NAME``, as far as it says."""
        metadata = self.value.get("metadata")
        parts = [metadata.get(k) for k in ("tenant", "name")] if isinstance(metadata, dict) else []
        name = "/".join(str(part) for part in parts if part is not None)
        return f"{self.value.get('kind', 'manifest')} {name}".strip()

    def place_of(self, message: str) -> str:
        """``file:line`` of the member that ``message`` quotes; else where the document begins."""
        node = self.node
        for quoted in _PATH.finditer(message):
            node = _find(self.node, _STEP.findall(quoted[1] or quoted[2])) or node
        return f"{self.source}:{node.start_mark.line + 1}"


def _find(node: yaml.Node, path: Sequence[str]) -> yaml.Node | None:
    """The node that is nearest to ``path``; a member's place is that of its key."""
    found: yaml.Node | None = None
    for step in path:
        if isinstance(node, yaml.MappingNode):
            pair = next(((k, v) for k, v in node.value if k.value == step), None)
            if pair is None:
                return found
            found, node = pair
        elif isinstance(node, yaml.SequenceNode) and step.isdecimal():
            if int(step) >= len(node.value):
                return found
            found = node = node.value[int(step)]
        else:
            return found
    return found


_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):  # type: ignore[misc]  # libyaml's if it is there: ten times as fast
    """YAML as JSON knows it: dates stay text, and no key stands twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> Any:
        count = len(node.value)
        mapping = super().construct_mapping(node, deep=deep)
        if len(mapping) < count:
            seen: set[object] = set()
            for key, _ in node.value:
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        problem=f"{key.value!r} stands here a second time",
                        problem_mark=key.start_mark,
                    )
                seen.add(key.value)
        return mapping


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in _Base.yaml_implicit_resolvers.items()
}


def read(names: Sequence[str]) -> Iterator[Manifest]:
    """Every document of the files, folders (all ``*.yaml``, ``*.yml``, ``*.json``) and ``-`` named.

    Raises:
        InvalidManifestFile: a file is missing, is no YAML, or a document is no object.
    """
    for name in names:
        if name != "-" and not Path(name).exists():
            raise InvalidManifestFile(
                f"{name} is not there.", hint="Name a file or a folder, or - for standard input."
            )
    for name in names:
        if name == "-":
            yield from _documents(sys.stdin.buffer, "stdin")
            continue
        for file in _files(Path(name)):
            try:
                with file.open("rb") as stream:
                    yield from _documents(stream, str(file))
            except OSError as e:
                raise InvalidManifestFile(f"{file} cannot be read: {e.strerror}.") from e


def read_value(text: str | None, name: str) -> object:
    """One value, as JSON or YAML.

    Args:
        text: the value; None: it is in the file ``name``, ``-`` is standard input.
        name: the file, or what ``text`` is called in a refusal.

    Raises:
        InvalidManifestFile: it is neither, or the file cannot be read.
    """
    try:
        if text is None:
            text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
            name = "stdin" if name == "-" else name
        try:
            value: object = json.loads(text)
        except ValueError:
            value = yaml.load(text, _Loader)  # noqa: S506 - a safe loader's child
    except OSError as e:
        raise InvalidManifestFile(f"{name} cannot be read: {e.strerror}.") from e
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as e:
        raise _broken(name, e, hint="Write JSON or YAML.") from e
    return value


def estimate(names: Sequence[str]) -> int | None:
    """How many documents there are, by a look at the lines; None if that cannot be known."""
    count = 0
    for name in names:
        if name == "-":
            return None
        for file in _files(Path(name)):
            try:
                with file.open("rb") as stream:
                    found = sum(line.startswith(b"kind:") for line in stream)
            except OSError:
                return None
            if not found:
                return None
            count += found
    return count


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = sorted(p for p in path.rglob("*") if p.suffix in SUFFIXES and p.is_file())
    if not files:
        raise InvalidManifestFile(
            f"the folder {path} holds no manifest.", hint=f"Their names end in {SUFFIXES[0]}."
        )
    return files


def _documents(stream: BinaryIO, name: str) -> Iterator[Manifest]:
    try:
        loader = _Loader(stream)
        try:
            while loader.check_node():
                node = loader.get_node()
                value = loader.construct_document(node)
                if value is None:
                    continue
                if not isinstance(value, dict):
                    raise InvalidManifestFile(
                        f"{name}:{node.start_mark.line + 1}: this is no object.",
                        hint="A manifest has apiVersion, kind, metadata and spec; those before are applied.",
                    )
                yield Manifest(value, name, node)
        finally:
            loader.dispose()
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as e:
        raise _broken(name, e) from e


def _broken(
    name: str, error: Exception, *, hint: str = "What stands before it in the files is applied."
) -> InvalidManifestFile:
    mark = getattr(error, "problem_mark", None)
    place = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark is not None else name
    problem = getattr(error, "problem", None) or "this is nested too deeply, or is no text"
    return InvalidManifestFile(f"{place}: {problem}.", hint=hint)
