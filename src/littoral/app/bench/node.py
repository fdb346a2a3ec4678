"""Littoral nodes as child processes, as a user starts them: ``littoral up``, ``littoral edge``."""

import base64
import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter, sleep
from typing import IO

from littoral.app.bench.processes import die_with_parent, free_port, stop

ADMIN = ("devops", "foobar")
"""The administrator of ``up --dev``: everything here listens on the loopback only."""

READY_S = 60.0
POLL_S = 0.01
APPLY_LINES = 500


class NodeFailed(Exception):
    """A node ended or did not become ready; the sentence carries the end of its log."""


@dataclass(slots=True)
class NodeProcess:
    """One node: its command line, its ports, and its process while it runs.

    `start` after `kill` starts the same node again on the same directory and ports.
    """

    name: str
    arguments: tuple[str, ...]
    directory: Path
    http_port: int
    mqtt_port: int
    link_port: int = 0
    """Where a cloud takes its sites; 0 for a site."""
    python: str = sys.executable
    environment: dict[str, str] = field(default_factory=dict)
    process: "subprocess.Popen[bytes] | None" = None
    _log: "IO[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def log_file(self) -> Path:
        return self.directory.parent / f"{self.name}.log"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start the process; `wait_ready` tells when it serves."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self._log = self.log_file.open("ab")
        self.process = subprocess.Popen(  # noqa: S603  # our own command line
            [self.python, "-m", "littoral.app.main", *self.arguments],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            env=os.environ | self.environment,
            preexec_fn=die_with_parent,  # noqa: PLW1509  # this process has no threads yet
        )

    def is_ready(self) -> bool:
        """Ask ``/readyz`` once; raise `NodeFailed` if the process has ended."""
        if self.process is None or self.process.poll() is not None:
            raise NodeFailed(f"{self.name} ended. Its log ends with: {self.log_tail()}")
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=2.0) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except OSError:
            return False

    def wait_ready(self, timeout_s: float = READY_S) -> None:
        """Return when the node is ready; raise `NodeFailed` if it ends or takes too long."""
        deadline = perf_counter() + timeout_s
        while not self.is_ready():
            if perf_counter() > deadline:
                raise NodeFailed(
                    f"{self.name} is not ready after {timeout_s:g} s: {self.log_tail()}"
                )
            sleep(POLL_S)

    def log_tail(self, size: int = 2000) -> str:
        try:
            return self.log_file.read_bytes()[-size:].decode(errors="replace")
        except OSError:
            return "(no log)"

    def kill(self) -> None:
        """SIGKILL, as a power switch would."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        self._close_log()

    def stop(self) -> None:
        """Ask it to end; insist after a while."""
        if self.process is not None:
            stop(self.process)
        self._close_log()

    def _close_log(self) -> None:
        if self._log is not None:
            self._log.close()
            self._log = None


def cloud_process(directory: Path, *extra: str, python: str = sys.executable) -> NodeProcess:
    """A cloud node on free ports of the loopback, with the development identities."""
    http, mqtt, link = free_port(), free_port(), free_port()
    return NodeProcess(
        name="cloud",
        arguments=(
            "up",
            "--dev",
            "--data-dir",
            str(directory),
            "--http",
            f"127.0.0.1:{http}",
            "--mqtt",
            f"127.0.0.1:{mqtt}",
            "--link",
            f"127.0.0.1:{link}",
            *extra,
        ),
        directory=directory,
        http_port=http,
        mqtt_port=mqtt,
        link_port=link,
        python=python,
    )


def site_process(directory: Path, *extra: str, python: str = sys.executable) -> NodeProcess:
    """A site's node on free ports of the loopback; without a token in ``extra`` it stays alone."""
    http, mqtt = free_port(), free_port()
    return NodeProcess(
        name=directory.name,
        arguments=(
            "edge",
            "--name",
            directory.name,
            "--data-dir",
            str(directory),
            "--http",
            f"127.0.0.1:{http}",
            "--mqtt",
            f"127.0.0.1:{mqtt}",
            *extra,
        ),
        directory=directory,
        http_port=http,
        mqtt_port=mqtt,
        python=python,
    )


@contextlib.contextmanager
def running(node: NodeProcess) -> Iterator[NodeProcess]:
    """Start, wait until ready, and stop at the end."""
    node.start()
    try:
        node.wait_ready()
        yield node
    finally:
        node.stop()


def call(
    node: NodeProcess,
    method: str,
    path: str,
    body: bytes | None = None,
    *,
    content_type: str = "application/json",
    timeout_s: float = 30.0,
) -> bytes:
    """One HTTP request as the administrator; raise `NodeFailed` with what a refusal says."""
    token = base64.b64encode(":".join(ADMIN).encode()).decode()
    request = urllib.request.Request(  # noqa: S310  # http to the loopback
        node.url + path,
        data=body,
        method=method,
        headers={"Authorization": f"Basic {token}", "Content-Type": content_type},
    )
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:  # noqa: S310
            return bytes(answer.read())
    except urllib.error.HTTPError as e:
        raise NodeFailed(f"{method} {path}: {e.code} {e.read()[:500]!r}") from e


def apply(node: NodeProcess, manifests: Iterable[dict[str, object]]) -> None:
    """Send manifests through the bulk ``apply``, some hundred at a time.

    Raises:
        NodeFailed: the request or one manifest was refused.
    """
    lines = [json.dumps(manifest).encode() for manifest in manifests]
    for first in range(0, len(lines), APPLY_LINES):
        answer = call(
            node,
            "POST",
            "/api/littoral/v1/apply",
            b"\n".join(lines[first : first + APPLY_LINES]) + b"\n",
            content_type="application/x-ndjson",
        )
        for line in answer.splitlines():
            if json.loads(line).get("result") == "error":
                raise NodeFailed(f"apply refused: {line[:500]!r}")


def tenant(name: str, namespace: str) -> dict[str, object]:
    """The manifest of a tenant with one namespace."""
    return {
        "apiVersion": "littoral/v1",
        "kind": "Tenant",
        "metadata": {"name": name},
        "spec": {"namespaces": [namespace]},
    }


def device(tenant_name: str, name: str, password: str) -> dict[str, object]:
    """The manifest of a device whose generated secret is already hashed (salted SHA-256)."""
    salt = hashlib.sha256(f"{tenant_name}/{name}".encode()).digest()[:8]
    digest = hashlib.sha256(salt + password.encode()).digest()
    secret = {
        "hash-function": "sha-256",
        "salt": base64.b64encode(salt).decode(),
        "pwd-hash": base64.b64encode(digest).decode(),
    }
    return {
        "apiVersion": "littoral/v1",
        "kind": "Device",
        "metadata": {"tenant": tenant_name, "name": name},
        "spec": {"credentials": [{"type": "hashed-password", "authId": name, "secrets": [secret]}]},
    }
