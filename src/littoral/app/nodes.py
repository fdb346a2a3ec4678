"""``littoral up`` and ``littoral edge``: options, first start, and what is printed when it runs."""

import argparse
import logging
import sys
import textwrap
from pathlib import Path

import msgspec

from littoral import __version__
from littoral.app import link
from littoral.app.run import Addresses, die_with_parent, ensure_descriptors, serve
from littoral.app.settings import Setting, load
from littoral.app.world import SystemEntropy, parse_address
from littoral.edge import parse_token
from littoral.kernel.errors import LittoralError
from littoral.node import Node, NodeConfig
from littoral.registry import (
    DEVELOPMENT_POLICY,
    found_development,
    generate_admin,
    seed_development,
)
from littoral.twin import Caller

SITE_NAME = "site"
"""The name of a site that nobody named: two ends of one link may not have the same."""

DEVELOPMENT_WARNING = """\
WARNING: development identities are on. Their passwords are in every manual:
  users    ditto / ditto (nginx:ditto)      devops / foobar (administrator)
  device   4711 of DEFAULT_TENANT: sensor1@DEFAULT_TENANT / hono-secret
Never do this where others can reach the node."""

_DEVELOPMENT_ENTRIES = {
    "people": {
        "subjects": {"nginx:ditto": {"type": "development user"}},
        "resources": {
            "thing:/": {"grant": ["READ", "WRITE"], "revoke": []},
            "policy:/": {"grant": ["READ", "WRITE"], "revoke": []},
            "message:/": {"grant": ["READ", "WRITE"], "revoke": []},
        },
    }
}


class ExposedWithoutIntent(LittoralError):
    """A node with well-known passwords was told to listen beyond the loopback."""

    code = "littoral.exposed"


def run_node(command: str, arguments: list[str]) -> int:
    """Run ``up`` or ``edge`` until a signal ends it."""
    options = parser_of(command).parse_args(arguments)
    config, _ = settings_of(command, options)
    if options.dev:
        _refuse_exposure(config)
    if options.die_with_parent:
        die_with_parent()
    ensure_descriptors()
    _log_to_stderr()
    token = parse_token(options.token) if options.token else None
    if token is not None:
        config = msgspec.structs.replace(config, name=token.site)
    first: list[str] = []

    async def prepare(node: Node) -> None:
        _seed(node, first, dev=options.dev)
        if not options.dev and (door := _open_door(config)):
            await _refuse_known_passwords(node, door)

    def ready(node: Node, addresses: Addresses) -> None:
        print(_banner(node, addresses, first, dev=options.dev), flush=True)

    import uvloop

    return int(uvloop.run(serve(config, token=token, prepare=prepare, ready=ready)))


def settings_of(command: str, options: argparse.Namespace) -> tuple[NodeConfig, list[Setting]]:
    """The effective settings of a node command, with their sources."""
    flags = {
        "role": "site" if command == "edge" else None,
        "name": options.name,
        "data_dir": options.data_dir,
        "http.listen": options.http,
        "mqtt.listen": options.mqtt,
        "link.listen": options.link,
        "functions.files": options.functions or None,
    }
    file = Path(options.config) if options.config else None
    config, settings = load(flags, file=file)
    if command == "edge":
        config, settings = _named_by_enrolment(config, settings)
    for address in (config.http.listen, config.mqtt.listen, config.link.listen):
        if address:
            parse_address(address)
    return config, settings


def _named_by_enrolment(
    config: NodeConfig, settings: list[Setting]
) -> tuple[NodeConfig, list[Setting]]:
    """An enrolled site keeps the name of its token, so that it starts again without being told."""
    if not any(s.name == "name" and s.source == "default" for s in settings):
        return config, settings
    identity = link.identity_of(Path(config.data_dir)).load()
    named = (
        Setting("name", SITE_NAME, "default")
        if identity is None
        else Setting("name", str(identity.site), "enrolment")
    )
    return (
        msgspec.structs.replace(config, name=named.value),
        [named if s.name == "name" else s for s in settings],
    )


def _log_to_stderr() -> None:
    """What functions say and what goes wrong in them, a line each; libraries only warn."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("littoral")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False


def parser_of(command: str) -> argparse.ArgumentParser:
    """The options of ``up`` or ``edge``; ``littoral config`` reads them too."""
    about = {
        "up": "Run a cloud node: doors for devices and people, and a listener for sites.",
        "edge": "Run a site node: the same doors, and a link to a cloud.",
    }[command]
    parser = argparse.ArgumentParser(prog=f"littoral {command}", description=about)
    add = parser.add_argument
    add("--name", help="the node's name (default: cloud; a site's: that of its token, or site)")
    add("--data-dir", help="where everything of the node is kept (default: data)")
    add("--http", metavar="HOST:PORT", help="the HTTP door (default: 127.0.0.1:8080)")
    add("--mqtt", metavar="HOST:PORT", help="the MQTT door (default: 127.0.0.1:1883)")
    add("--config", metavar="FILE", help="settings in TOML; LITTORAL_SECTION__KEY overrides them")
    add(
        "--functions", metavar="FILE", action="append", help="a Python file of functions; repeat it"
    )
    add("--dev", action="store_true", help="make the well-known development identities (warns)")
    add("--die-with-parent", action="store_true", help=argparse.SUPPRESS)
    if command == "up":
        add("--link", metavar="HOST:PORT", help="the listener for sites (default: 127.0.0.1:8883)")
        parser.set_defaults(token=None)
    else:
        add("--token", help="a one-time enrolment token; needed once (littoral token create SITE)")
        parser.set_defaults(link=None)
    add("--version", action="version", version=f"littoral {__version__}")
    return parser


def _open_door(config: NodeConfig) -> str | None:
    """The first of the doors for people and devices that others can reach."""
    for setting, address in (("--http", config.http.listen), ("--mqtt", config.mqtt.listen)):
        host, _ = parse_address(address)
        if host not in ("127.0.0.1", "localhost", "::1"):
            return f"{setting} {address}"
    return None


def _refuse_exposure(config: NodeConfig) -> None:
    if door := _open_door(config):
        raise ExposedWithoutIntent(
            f"{door} is open to others, and --dev has passwords everybody knows.",
            hint="Leave --dev out, or listen on 127.0.0.1.",
        )


async def _refuse_known_passwords(node: Node, door: str) -> None:
    """Leaving --dev out is not enough: what it made stays in the directory."""
    if known := await found_development(node.registry):
        raise ExposedWithoutIntent(
            f"{door} is open to others, and an earlier --dev left passwords everybody knows: "
            f"{', '.join(known)}.",
            hint="Listen on 127.0.0.1 and change or delete them, or begin in an empty directory.",
        )


def _seed(node: Node, first: list[str], *, dev: bool) -> None:
    if dev:
        seed_development(node.registry)
        if node.twins.peek_policy(DEVELOPMENT_POLICY) is None:
            node.twins.policies.put(
                Caller(frozenset(), unrestricted=True),
                DEVELOPMENT_POLICY,
                "/",
                {"entries": _DEVELOPMENT_ENTRIES},
            )
        return
    password = generate_admin(node.registry, SystemEntropy())
    if password is not None:
        first.append(password)


def _cloud_of(node: Node) -> str:
    if node.uplink is None:
        name = node.config.name
        return f"none   (littoral token create {name}, said to a cloud, makes what links it)"
    identity = link.identity_of(Path(node.config.data_dir)).load()
    known = "" if identity is None else identity.url
    return node.config.link.url or known or "where the token says"


def _banner(node: Node, at: Addresses, first: list[str], *, dev: bool) -> str:
    lines = [
        f"littoral {__version__}: the {node.config.role} node {node.config.name!r} is ready.",
        f"  HTTP   http://{at.http}   (/docs in a browser, API 2 at /api/2, WebSocket at /ws/2)",
        f"  MQTT   mqtt://{at.mqtt}",
    ]
    if at.link:
        lines.append(
            f"  sites  wss://{at.link}   (littoral token create SITE makes an enrolment token)"
        )
    if node.config.role == "site":
        lines.append(f"  cloud  {_cloud_of(node)}")
    lines.append(f"  data   {Path(node.config.data_dir).resolve()}")
    for password in first:
        lines += [
            "",
            f"  The administrator is admin, the password is {password}",
            "  It is shown once. Keep it: export LITTORAL_USER=admin LITTORAL_PASSWORD=…",
        ]
    if dev:
        lines += ["", textwrap.indent(DEVELOPMENT_WARNING, "  ")]
    return "\n".join(lines)
