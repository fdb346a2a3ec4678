"""One node as a process: real ports, open doors, signals, and a clean end."""

import asyncio
import contextlib
import gc
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from littoral.app import link
from littoral.app.http import HttpServer
from littoral.app.news import tell_of_link
from littoral.app.world import SystemClock, SystemEntropy, address_of, bind, listen
from littoral.edge import Enrolment, EnrolmentToken, Listener
from littoral.functions.adapters.process import ProcessRunner
from littoral.kernel.errors import Kind, LittoralError
from littoral.log.adapters.committer import ThreadCommitter
from littoral.log.adapters.files import Directory
from littoral.log.adapters.sqlite import SqliteStore
from littoral.node import Node, NodeConfig, NodePorts, compose
from littoral.registry.adapters.argon2 import Argon2Hasher
from littoral.search.adapters.sqlite import FILE as INDEX_FILE
from littoral.search.adapters.sqlite import SqliteIndex

MQTT_BACKLOG = 4096
STOP_S_MAX = 10.0
"""How long a clean end may take; then the process ends as a crash would, which loses nothing."""

SWITCH_S = 0.0005
"""How long one thread may hold the interpreter while another one wants it."""

BROKEN_EXIT_CODE = 74
"""EX_IOERR: the disk failed; start again to recover."""


class MissingExtra(LittoralError):
    """A setting needs a package that this installation does not have."""

    code = "littoral.extra.missing"


class DataDirectoryUnusable(LittoralError):
    """The data directory cannot be read or written: a full disk, a wrong owner, a missing mount."""

    code = "littoral.data_dir.unusable"
    kind = Kind.UNAVAILABLE


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a running node listens."""

    http: str
    mqtt: str
    link: str | None


Prepare = Callable[[Node], Awaitable[None]]
"""Awaited once, before the doors open: seeds identities, and looks at those that are there."""

Ready = Callable[[Node, Addresses], None]
"""Called once the doors are open."""


async def serve(
    config: NodeConfig,
    *,
    token: EnrolmentToken | None = None,
    prepare: Prepare | None = None,
    ready: Ready | None = None,
) -> int:
    """Run a node until SIGINT or SIGTERM; return the process's exit code."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    directory = Path(config.data_dir)
    with _usable(directory):
        # In it are the hashes of passwords and all that devices said: nobody else's business.
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Bound before the log is opened: a taken port must not cost a new epoch.
    mqtt_socket = bind(config.mqtt.listen, door="MQTT", setting="--mqtt")
    with _usable(directory):
        ports, hasher = _ports(config, loop, directory, token)
    node = compose(config, ports)
    broken: list[LittoralError] = []

    def on_broken(error: LittoralError) -> None:
        broken.append(error)
        stop.set()

    node.log.on_broken(on_broken)
    _report_salvage(node)
    http = HttpServer(node.http, config.http.listen)
    try:
        if prepare is not None:
            await prepare(node)
            await node.log.wait()
        _settle_memory()
        async with asyncio.TaskGroup() as tasks:
            background = [tasks.create_task(node.run(), name="node")]
            if node.uplink is not None:
                news = tell_of_link(node.uplink.statistics)
                background.append(tasks.create_task(news, name="news"))
            serving = tasks.create_task(http.run(), name="http")
            server = await listen(mqtt_socket, node.mqtt.protocol_factory, backlog=MQTT_BACKLOG)
            await http.wait_listening()
            if ready is not None:
                ready(
                    node,
                    Addresses(
                        http.address,
                        address_of(mqtt_socket),
                        config.link.listen if node.downlink is not None else None,
                    ),
                )
            await stop.wait()
            server.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_S_MAX):
                    await node.close_doors()
            http.stop()
            for task in background:
                task.cancel()
            serving.cancel()
    finally:
        hasher.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_S_MAX):
                await node.close()
    if broken:
        print(f"littoral: {broken[0]}", file=sys.stderr)
        return BROKEN_EXIT_CODE
    return 0


@contextlib.contextmanager
def _usable(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as e:
        raise DataDirectoryUnusable(
            f"the data directory {directory} cannot be used: {e.strerror}"
            + (f" ({e.filename})." if e.filename else "."),
            hint="Look at its disk's free space and at its owner, then start again.",
        ) from e


def _ports(
    config: NodeConfig,
    loop: asyncio.AbstractEventLoop,
    directory: Path,
    token: EnrolmentToken | None,
) -> tuple[NodePorts, Argon2Hasher]:
    clock, entropy = SystemClock(), SystemEntropy()
    hasher = Argon2Hasher(entropy)
    ports = NodePorts(
        clock=clock,
        entropy=entropy,
        scheduler=loop,
        store=SqliteStore(Directory(directory)),
        committer=ThreadCommitter(loop),
        hasher=hasher,
        runner=lambda file: ProcessRunner(Path(file)),
    )
    if config.search.enabled:
        ports = _with_search(ports, config, directory, loop)
    if config.auth.issuers:
        ports = with_tokens(ports)
    if config.role == "cloud" and config.link.listen:
        ports = _with_listener(ports, config, directory)
    elif config.role == "site" and is_linked(directory, token):
        store = link.identity_of(directory)
        renewal = link.renewal_of(store, clock)
        ports = replace(
            ports,
            dialer=link.dialer_of(config, store, clock, token),
            beside_uplink=renewal.run,
        )
    return ports, hasher


def _with_search(
    ports: NodePorts, config: NodeConfig, directory: Path, loop: asyncio.AbstractEventLoop
) -> NodePorts:
    def search() -> tuple[SqliteIndex, ThreadCommitter]:
        index = SqliteIndex(
            str(directory / INDEX_FILE),
            remove=lambda name: Path(name).unlink(missing_ok=True),
            monotonic_s=ports.clock.monotonic_s,
            cache_kib=config.search.cache_mib * 1024,
        )
        return index, ThreadCommitter(loop, name="littoral-search")

    return replace(ports, search=search)


def with_tokens(ports: NodePorts) -> NodePorts:
    """Ports that can check tokens; a node that takes none imports nothing for it.

    Raises:
        MissingExtra: what it needs is not installed.
    """
    try:
        from littoral.identity.adapters.http import HttpKeyFetcher
        from littoral.identity.adapters.jose import JoseVerifier
    except ImportError as e:
        raise MissingExtra(
            f"auth.issuers needs {e.name}, which is not installed.",
            hint="pip install 'littoral[cloud]' brings what checks tokens.",
        ) from e
    return replace(ports, verifier=JoseVerifier(), fetcher=HttpKeyFetcher())


def is_linked(directory: Path, token: EnrolmentToken | None) -> bool:
    """Whether a site has a cloud: it is enrolled, or about to be."""
    return token is not None or link.identity_of(directory).load() is not None


def _with_listener(ports: NodePorts, config: NodeConfig, directory: Path) -> NodePorts:
    # Only a cloud signs: the import of its CA costs 17 MB.
    from littoral.app import authority

    files = authority.open_files(config, directory, ports.clock)

    def listener(enrolment: Enrolment | None) -> Listener:
        assert enrolment is not None
        return authority.listener(config, files, enrolment)

    return replace(ports, authority=files.authority, listener=listener)


def _report_salvage(node: Node) -> None:
    salvage = node.log.opened.salvage
    if salvage is not None:
        lost = "an unknown number of" if salvage.records_lost is None else salvage.records_lost
        print(
            f"littoral: the log was damaged and has been salvaged: {salvage.records_kept} records "
            f"kept, {lost} lost; the damaged files are in {salvage.moved_to}. {salvage.detail}",
            file=sys.stderr,
        )


def _settle_memory() -> None:
    """What is made by now lives as long as the process: keep the collector from walking it.

    Records are tuples of plain values and make no cycles; with the default thresholds the
    collector ran every few milliseconds under load (measured: 4.6 µs a message against 6).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    # The committer's thread takes the interpreter a few times a commit; at the default of 5 ms a
    # busy loop made each of them wait that long.
    sys.setswitchinterval(SWITCH_S)


def ensure_descriptors() -> None:
    """Raise the limit of open files to what the machine allows: a connection needs one each."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def die_with_parent() -> None:
    """End this process when the one that started it does, however that ends (Linux)."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
    if os.getppid() == 1:
        os.kill(os.getpid(), signal.SIGTERM)
