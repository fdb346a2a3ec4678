"""What Ditto's operators ask a node: status trees, counts of things, levels of logging.

Of Ditto's there are no piggyback commands (there are no services behind this one to send them to)
and no /devops/config (settings are read once, at the start: ``littoral settings`` shows them).
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import Literal

import msgspec

from littoral.api.errors import MethodNotAllowed, RouteMissing
from littoral.api.http import Answer, Authenticator, OpenRoutes, Request, json_answer, require_role
from littoral.api.model import BODY_BYTES_MAX, COUNT_CHUNK
from littoral.api.operations.metrics import members_of
from littoral.api.parts import ApiParts
from littoral.kernel.errors import InvalidJson
from littoral.kernel.ids import namespace_of
from littoral.registry import Role

_Level = Literal["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "OFF"]

_TO_PYTHON = {
    "TRACE": logging.DEBUG,
    "DEBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "WARN": logging.WARNING,
    "ERROR": logging.ERROR,
    "OFF": logging.CRITICAL,
}
_OF_PYTHON = {
    logging.DEBUG: "DEBUG",
    logging.INFO: "INFO",
    logging.WARNING: "WARN",
    logging.ERROR: "ERROR",
    logging.CRITICAL: "OFF",
}
_OWN = "littoral"
"""Only the node's own loggers are shown and set."""


class LoggerLevel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of PUT /devops/logging."""

    level: _Level
    logger: str = _OWN


def devops_routes(parts: ApiParts, authenticator: Authenticator) -> dict[str, OpenRoutes]:
    """Root to what answers there."""
    return {
        "status": _Status(parts, authenticator, below=()),
        "overall": _Status(parts, authenticator, below=("status",)),
        "stats": _Counts(parts, authenticator),
        "devops": _Logging(parts, authenticator),
    }


class _Status:
    """``/status`` and ``/overall/status``, with ``/health`` and ``/cluster`` below them."""

    def __init__(
        self, parts: ApiParts, authenticator: Authenticator, *, below: tuple[str, ...]
    ) -> None:
        self._parts = parts
        self._authenticator = authenticator
        self._below = below

    async def handle(self, request: Request, rest: tuple[str, ...]) -> Answer:
        """Answer with the tree of health, the cluster, or both."""
        if rest[: len(self._below)] != self._below:
            raise _missing()
        _only_get(request)
        require_role(await self._authenticator.identity(request), Role.STATUS)
        match rest[len(self._below) :]:
            case ():
                return json_answer({"health": self._health(), "cluster": self._cluster()})
            case ("health",):
                health = self._health()
                return json_answer(health, status=200 if health["status"] == "UP" else 503)
            case ("cluster",):
                return json_answer(self._cluster())
            case _:
                raise _missing()

    def _health(self) -> dict[str, object]:
        """A node with a child for each of its parts and for each link."""
        parts = self._parts
        reason = parts.not_ready()
        children = [
            _node(name, details=[{"INFO": _numbers(source())}])
            for name, source in sorted(parts.statistics.items())
        ]
        children += [
            _node(f"link to {name}", details=[{"INFO": status}])
            for name, status in sorted(parts.link_status().items())
        ]
        details: list[object] = [] if reason is None else [{"ERROR": reason}]
        return _node(parts.node.name, up=reason is None, details=details, children=children)

    def _cluster(self) -> dict[str, object]:
        """A node is a cluster of one; its sites are other nodes, not members."""
        node = self._parts.node
        return {
            "reachable": [node.name],
            "unreachable": [],
            "seen-by": [node.name],
            "leader": node.name,
            "own-roles": [node.role],
            "roles": {node.role: {"reachable": [node.name], "unreachable": []}},
        }


class _Counts:
    """``/stats/things``, ``/stats/things/details`` and ``/stats/search``."""

    def __init__(self, parts: ApiParts, authenticator: Authenticator) -> None:
        self._twins = parts.twins
        self._authenticator = authenticator

    async def handle(self, request: Request, rest: tuple[str, ...]) -> Answer:
        """Answer with how many things there are."""
        if rest not in {("things",), ("things", "details"), ("search",)}:
            raise _missing()
        _only_get(request)
        require_role(await self._authenticator.identity(request), Role.DEVOPS)
        counts = await self._count()
        answer: dict[str, object] = {"allThingsCount": sum(counts.values())}
        if rest == ("search",):
            # The index is brought up to the last commit before each search: it has them all.
            return json_answer(answer)
        answer["hotThingsCount"] = self._twins.statistics().hot
        if len(rest) > 1:
            wanted = request.query.get("namespace")
            answer["namespaces"] = {
                name: count for name, count in counts.items() if wanted in {None, name}
            }
        return json_answer(answer)

    async def _count(self) -> dict[str, int]:
        """Existing things by namespace; others have their turn in between."""
        counts: dict[str, int] = {}
        after = ""
        while found := self._twins.list_ids(after=after, limit=COUNT_CHUNK):
            for one in found:
                name = namespace_of(one)
                counts[name] = counts.get(name, 0) + 1
            after = found[-1]
            await asyncio.sleep(0)
        return counts


class _Logging:
    """``/devops/logging``: the levels of the node's loggers, until it ends."""

    def __init__(self, parts: ApiParts, authenticator: Authenticator) -> None:
        self._node = parts.node.name
        self._authenticator = authenticator

    async def handle(self, request: Request, rest: tuple[str, ...]) -> Answer:
        """Show or set levels; a module or an instance in the address has to be this node."""
        if rest[:1] != ("logging",) or any(one not in self._names() for one in rest[1:]):
            raise _missing()
        require_role(await self._authenticator.identity(request), Role.DEVOPS)
        match request.method:
            case "GET" | "HEAD":
                levels = [
                    {"level": _OF_PYTHON.get(logger.getEffectiveLevel(), "INFO"), "logger": name}
                    for name, logger in _loggers().items()
                ]
                return self._answer({"loggerConfigs": levels})
            case "PUT":
                body = await request.json_body(BODY_BYTES_MAX)
                try:
                    wanted = msgspec.convert(body, LoggerLevel)
                except msgspec.ValidationError as e:
                    raise InvalidJson(f"this is no level of a logger: {e}.") from e
                if wanted.logger not in _loggers():
                    raise InvalidJson(
                        f"the node has no logger {wanted.logger[:80]!r}.",
                        hint="GET /devops/logging lists them.",
                    )
                logging.getLogger(wanted.logger).setLevel(_TO_PYTHON[wanted.level])
                return self._answer({"successful": True})
            case _:
                raise MethodNotAllowed(request.method, ("GET", "PUT"))

    def _names(self) -> frozenset[str]:
        return frozenset((self._node, _OWN))

    def _answer(self, members: Mapping[str, object]) -> Answer:
        return json_answer({_OWN: {self._node: {"status": 200, **members}}})


def _loggers() -> dict[str, logging.Logger]:
    known = logging.Logger.manager.loggerDict
    names = [name for name in known if name.startswith(_OWN + ".")]
    return {name: logging.getLogger(name) for name in sorted([_OWN, *names])}


def _node(
    label: str,
    *,
    up: bool = True,
    details: list[object] | None = None,
    children: list[dict[str, object]] | None = None,
) -> dict[str, object]:
    node: dict[str, object] = {"label": label, "status": "UP" if up else "DOWN"}
    if details:
        node["details"] = details
    if children:
        node["children"] = children
    return node


def _numbers(record: object) -> dict[str, object]:
    return {
        name: value
        for name, value in members_of(record)
        if isinstance(value, bool | int | float | str)
    }


def _only_get(request: Request) -> None:
    if request.method not in {"GET", "HEAD"}:
        raise MethodNotAllowed(request.method, ("GET",))


def _missing() -> RouteMissing:
    return RouteMissing(
        "there is nothing at this address.",
        hint="See /status, /stats/things and /devops/logging.",
    )
