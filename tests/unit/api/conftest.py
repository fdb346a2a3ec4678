"""A real door on real twins, registry and log, in memory and on virtual time."""

import asyncio
import base64
import contextlib
import functools
import json
import random
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

import jsonschema
import pytest

from littoral.api import ApiParts, NodeInfo, build_app
from littoral.api.docs import openapi
from littoral.eventing import Inbox, Mailbox, Router
from littoral.identity import Identities
from littoral.kernel.ids import NodeId
from littoral.log import Log
from littoral.log.adapters.committer import InlineCommitter
from littoral.log.adapters.memory import MemoryStore
from littoral.registry import Registry, seed_development
from littoral.registry.adapters.argon2 import InlineArgon2Hasher
from littoral.search import Search
from littoral.search.adapters.sqlite import SqliteIndex
from littoral.simulate import SeededEntropy, VirtualClock, run
from littoral.twin import Caller, Twins

DITTO = ("ditto", "ditto")
DEVOPS = ("devops", "foobar")
POLICY = {
    "entries": {
        "owner": {
            "subjects": {"nginx:ditto": {"type": "dev"}},
            "resources": {
                f"{kind}:/": {"grant": ["READ", "WRITE"], "revoke": []}
                for kind in ("thing", "policy", "message")
            },
        }
    }
}


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        return self.json["error"]


class Node:
    """The parts of a node that the door talks to, and the ways to talk to the door."""

    def __init__(self, store, **more):
        loop = asyncio.get_running_loop()
        self.clock = VirtualClock(loop)
        self.entropy = SeededEntropy(random.Random(7))
        self.log = Log.open(
            store=store,
            committer=InlineCommitter(loop),
            clock=self.clock,
            entropy=self.entropy,
            node=NodeId("cloud"),
            loop=loop,
        )
        self.registry = Registry(
            self.log, InlineArgon2Hasher(self.entropy), self.clock, self.entropy
        )
        self.twins = Twins(self.log, self.registry, self.clock)
        self.inbox = Inbox(self.clock)
        self.mailbox = Mailbox(self.log, self.inbox, self.clock, self.entropy)
        index = SqliteIndex(":memory:", remove=lambda _: None, monotonic_s=self.clock.monotonic_s)
        self.search = Search(self.log, self.twins, index, InlineCommitter(loop), self.clock)
        self.parts = ApiParts(
            twins=self.twins,
            registry=self.registry,
            identities=Identities(self.registry, self.clock, self.entropy),
            router=Router(self.log),
            inbox=self.inbox,
            mailbox=self.mailbox,
            search=self.search,
            search_settled=self.search.settled,
            log=self.log,
            clock=self.clock,
            entropy=self.entropy,
            node=NodeInfo("cloud", "cloud", "0.1.0"),
            statistics={"log": self.log.statistics, "twins": self.twins.statistics},
            **more,
        )
        self.door = build_app(self.parts)
        self.admin = Caller(frozenset(), unrestricted=True)

    async def seed(self):
        seed_development(self.registry)
        await self.twins.put_policy(self.admin, "org.littoral:default", "/", POLICY)

    @staticmethod
    def scope(kind, path, user, headers, **more):
        path, _, query = path.partition("?")
        raw = [(k.lower().encode(), v.encode("latin-1")) for k, v in headers]
        if user is not None:
            token = base64.b64encode(":".join(user).encode())
            raw.append((b"authorization", b"Basic " + token))
        raw_path = quote(path, safe="/%:~*,()").encode()
        return {
            "type": kind,
            "path": unquote_to_bytes(raw_path).decode(errors="replace"),
            "raw_path": raw_path,
            "query_string": query.encode(),
            "headers": raw,
            "scheme": "http",
            **more,
        }

    async def call(self, method, path, body=None, *, user=DITTO, headers=(), pieces=None):
        """One request, and its whole answer."""
        headers = list(headers.items() if isinstance(headers, dict) else headers)
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            if not any(k.lower() == "content-type" for k, _ in headers):
                kind = "merge-patch+json" if method == "PATCH" else "json"
                headers.append(("content-type", f"application/{kind}"))
        scope = self.scope("http", path, user, headers, method=method)
        todo = list(pieces) if pieces is not None else [body or b""]
        sent = []

        async def receive():
            if not todo:
                await asyncio.Event().wait()
            piece = todo.pop(0)
            if piece is None:
                return {"type": "http.disconnect"}
            return {"type": "http.request", "body": piece, "more_body": bool(todo)}

        async def send(message):
            sent.append(message)

        await self.door(scope, receive, send)
        if not sent:
            return None
        assert [m["type"] for m in sent[:2]] == ["http.response.start", "http.response.body"]
        headers = {k.decode(): v.decode() for k, v in sent[0]["headers"]}
        check_documented(method, path, sent[0]["status"], headers.get("content-type"))
        return Answer(sent[0]["status"], headers, b"".join(m["body"] for m in sent[1:]))

    @contextlib.asynccontextmanager
    async def stream(self, path, *, user=DITTO, headers=(("accept", "text/event-stream"),)):
        """An event stream that is open; gives a function that waits for its next data."""
        received, gone = asyncio.Queue(), asyncio.Event()
        requests = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive():
            if requests:
                return requests.pop()
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message):
            await received.put(message)

        async with asyncio.TaskGroup() as tasks:
            scope = self.scope("http", path, user, headers, method="GET")
            tasks.create_task(self.door(scope, receive, send))
            start = await received.get()
            assert start["status"] == 200, (start, (await received.get())["body"])
            assert (await received.get())["body"] == b":\n\n"

            async def following():
                async with asyncio.timeout(30):
                    while (body := (await received.get())["body"]) == b":\n\n":
                        pass
                return json.loads(body.removeprefix(b"data:")) if body else None

            yield following
            gone.set()

    @contextlib.asynccontextmanager
    async def socket(self, *, user=DITTO, path="/ws/2", headers=(), extensions=None):
        """A WebSocket session that is open."""
        socket = Socket()
        scope = self.scope("websocket", path, user, headers, extensions=extensions or {})
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.door(scope, socket.receive, socket.send))
            yield socket
            socket.leave()


@functools.cache
def _operations():
    """Pattern of a path to what the OpenAPI document has there; the plainest first."""
    found = []
    paths = openapi.document("0")["paths"]
    for path in sorted(paths, key=lambda p: (p.count("{"), -len(p))):
        pattern = re.sub(r"\{\w+(Path|Subject)\}", ".+", path)
        found.append((re.compile(re.sub(r"\{\w+\}", "[^/]+", pattern)), paths[path]))
    return found


NOWHERE = {400, 401, 404, 405, 408, 414, 431}
"""What is answered where nothing is, or before it is known where."""


def check_documented(method, path, status, media_type):
    """Every answer of every test of the API is one that the OpenAPI document has."""
    bare = path.partition("?")[0].rstrip("/") or "/"
    method = {"HEAD": "GET"}.get(method, method).lower()
    item = next((item for pattern, item in _operations() if pattern.fullmatch(bare)), {})
    if method == "options":
        assert status in {204, 404}, f"{bare} answers OPTIONS with {status}"
        return
    if method not in item:
        assert status in NOWHERE, f"{method} {bare} -> {status} is not in /openapi.json"
        return
    responses = item[method]["responses"]
    assert str(status) in responses or "default" in responses or status == 405, (
        f"{method} {bare} answers {status}, which /openapi.json does not have"
    )
    content = responses.get(str(status), {}).get("content")
    if content and media_type and "*/*" not in content:
        wanted = {one.partition(";")[0] for one in content}
        assert media_type.partition(";")[0] in wanted, (bare, status, media_type, wanted)


@functools.cache
def _schema(name):
    schema = json.loads((Path(__file__).parent / "ditto" / f"{name}.json").read_text())
    return jsonschema.Draft4Validator(schema)


def check_frame(frame):
    """Check a frame of the Ditto Protocol against Ditto's own JSON schemas, envelope and payload."""
    if frame.get("value", 0) is None:
        # A value may be null, as a member of attributes may; the schemas forgot it.
        frame = frame | {"value": ""}
    _schema("protocol-envelope").validate(frame)
    parts = frame["topic"].split("/")
    criterion, tail = (parts[4], parts[5:]) if parts[2] == "things" else (parts[3], parts[4:])
    name = "streaming-subscription" if criterion == "streaming" else criterion
    match criterion, tail:
        case ("errors", _) | (_, ["errors"]):
            _schema("protocol-error_response").validate(frame)
        case "acks", [_, *_]:
            _schema("protocol-ack").validate(frame)
        case "acks", []:
            _schema("protocol-acks").validate(frame)
        case "announcements", _:
            _schema("protocol-announcement").validate(frame)
        case (("search" | "streaming"), ["failed" | "next" | "request" as step]):
            _schema(f"protocol-{name}-{step}-payload").validate(frame["value"])
        case (("search" | "streaming"), ["created" | "complete" | "cancel"]):
            _schema(f"protocol-{criterion}-subscriptionid").validate(frame["value"])
        case _, _ if "status" in frame:
            _schema("protocol-response").validate(frame)
    return frame


class Socket:
    """The client's end of a WebSocket. Every frame of the node is checked against its schema."""

    def __init__(self):
        self.to_door, self.from_door = asyncio.Queue(), asyncio.Queue()
        self.to_door.put_nowait({"type": "websocket.connect"})
        self.slow = asyncio.Event()
        self.slow.set()

    async def receive(self):
        return await self.to_door.get()

    async def send(self, message):
        await self.slow.wait()
        await self.from_door.put(message)

    async def next(self):
        async with asyncio.timeout(120):
            return await self.from_door.get()

    async def accepted(self):
        assert (await self.next())["type"] == "websocket.accept"
        return self

    def say(self, frame):
        text = frame if isinstance(frame, str) else json.dumps(frame)
        self.to_door.put_nowait({"type": "websocket.receive", "text": text})

    async def text(self):
        message = await self.next()
        assert message["type"] == "websocket.send", message
        if message["text"].startswith("{"):
            check_frame(json.loads(message["text"]))
        return message["text"]

    async def json(self):
        return json.loads(await self.text())

    async def ask(self, frame):
        self.say(frame)
        text = await self.text()
        return json.loads(text) if text.startswith("{") else text

    async def is_silent(self, for_s=5):
        await asyncio.sleep(for_s)
        return self.from_door.empty()

    def leave(self):
        self.to_door.put_nowait({"type": "websocket.disconnect", "code": 1000})


@pytest.fixture
def on_node():
    """Runs ``async def main(node)`` against a fresh node in the virtual world."""

    def start(main, *, store=None, seed=True, **more):
        async def world():
            node = Node(store or MemoryStore(), **more)
            if seed:
                await node.seed()
            async with asyncio.TaskGroup() as tasks:
                indexing = tasks.create_task(node.search.run())
                result = await main(node)
                await node.door.close()
                indexing.cancel()
            node.search.close()
            return result

        return run(world, deadline_s=10_000)

    return start
