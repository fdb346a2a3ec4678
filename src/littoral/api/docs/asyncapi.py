"""The AsyncAPI document of the WebSocket at /ws/2."""

from littoral.api.docs.operation import Json
from littoral.api.docs.schemas import SCHEMAS
from littoral.api.model import SOCKET_FRAME_BYTES_MAX, SOCKET_SIGNALS_MAX

_TEXT = "text/plain"
_PROTOCOL = "application/vnd.eclipse.ditto+json"
_FILTERED = "namespaces, filter, extraFields"

CONTROLS = {
    "EVENTS": _FILTERED,
    "MESSAGES": _FILTERED,
    "LIVE-COMMANDS": "namespaces, extraFields",
    "LIVE-EVENTS": _FILTERED,
    "POLICY-ANNOUNCEMENTS": "namespaces",
}
"""What a session can be sent, and the parameters of the frame that asks for it."""

_INTRODUCTION = f"""\
Text frames: a message of the Ditto Protocol, or one of the control frames below. After connecting a
session is sent nothing but the answers to its own commands. A frame has at most
{SOCKET_FRAME_BYTES_MAX // 1024} KiB; a session that is slow loses signals beyond
{SOCKET_SIGNALS_MAX} waiting ones, never answers to its own commands.

A control frame is answered with the same word and `:ACK`. Sending a START frame again replaces its
parameters: `START-SEND-EVENTS?filter=gt(attributes/n,3)&extraFields=attributes/site`, values
URL-encoded.
"""

# Criterion, summary, who sends it, an example of it.
_SIGNALS: tuple[tuple[str, str, str, Json], ...] = (
    ("command", "A command to a twin, a policy, or on the channel live to a device", "both",
     {"topic": "org.littoral/lamp-1/things/twin/commands/modify", "path": "/attributes/site",
      "headers": {"correlation-id": "c-1"}, "value": "s1"}),
    ("response", "The answer to a command", "both",
     {"topic": "org.littoral/lamp-1/things/twin/commands/modify", "path": "/attributes/site",
      "headers": {"correlation-id": "c-1"}, "status": 204}),
    ("event", "A change, as it is committed", "both",
     {"topic": "org.littoral/lamp-1/things/twin/events/modified", "path": "/attributes/site",
      "value": "s1", "revision": 7, "timestamp": "2026-11-22T16:00:00Z"}),
    ("message", "A message to a device or from it", "both",
     {"topic": "org.littoral/lamp-1/things/live/messages/blink", "path": "/inbox/messages/blink",
      "headers": {"correlation-id": "c-2", "content-type": "application/json"}, "value": 3}),
    ("acknowledgement", "A label given to a signal that asked for it", "both",
     {"topic": "org.littoral/lamp-1/things/twin/acks/my-label", "path": "/",
      "headers": {"correlation-id": "c-3"}, "status": 200}),
    ("search", "A search, page by page: subscribe, request, cancel; created, next, complete, failed",
     "both", {"topic": "_/_/things/twin/search/subscribe", "path": "/",
              "value": {"filter": 'eq(attributes/site,"s1")', "options": "size(50)"}}),
    ("streaming", "The past: subscribeForPersistedEvents, request, cancel; created, next, …", "both",
     {"topic": "org.littoral/lamp-1/things/twin/streaming/subscribeForPersistedEvents", "path": "/",
      "value": {"fromHistoricalRevision": 1}}),
    ("announcement", "What will happen to a policy's subjects", "send",
     {"topic": "org.littoral/lamp-1/policies/announcements/subjectDeletion", "path": "/",
      "value": {"deleteAt": "2026-11-22T16:00:00Z", "subjectIds": ["nginx:guest"]}}),
    ("error", "Why something was refused", "send",
     {"topic": "org.littoral/lamp-1/things/twin/errors", "path": "/",
      "headers": {"correlation-id": "c-1"}, "status": 404,
      "value": {"status": 404, "error": "things:thing.notfound", "message": "…"}}),
)  # fmt: skip


def document(version: str) -> Json:
    """The whole AsyncAPI document."""
    messages, received, sent = _messages()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Littoral: the WebSocket",
            "version": version,
            "description": _INTRODUCTION,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": _PROTOCOL,
        "servers": {
            "node": {
                "host": "{host}",
                "protocol": "wss",
                "description": "This node; `ws` if it has no TLS.",
                "variables": {"host": {"default": "127.0.0.1:8080"}},
                "security": [{"$ref": f"#/components/securitySchemes/{s}"} for s in _SCHEMES],
            }
        },
        "channels": {
            "session": {
                "address": "/ws/2",
                "title": "A session",
                "description": "Authenticated as HTTP requests are.",
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
                "bindings": {"ws": {"method": "GET", "query": _QUERY, "bindingVersion": "0.1.0"}},
            }
        },
        "operations": {
            "receive": _operation("receive", "What the node takes", received),
            "send": _operation("send", "What the node sends", sent),
        },
        "components": {
            "messages": messages,
            "schemas": {name: SCHEMAS[name] for name in ("ProtocolMessage", "Json")},
            "securitySchemes": _SCHEMES,
        },
    }


_SCHEMES: Json = {
    "basic": {"type": "http", "scheme": "basic"},
    "bearer": {"type": "http", "scheme": "bearer"},
    "accessToken": {"type": "httpApiKey", "in": "query", "name": "access_token"},
}
_QUERY: Json = {
    "type": "object",
    "properties": {
        "declared-acks": {"type": "string", "description": "Labels that this session will give."},
        "correlation-id": {"type": "string"},
        "access_token": {"type": "string", "description": "For browsers."},
    },
}


def _messages() -> tuple[dict[str, Json], list[str], list[str]]:
    messages: dict[str, Json] = {}
    received: list[str] = []
    sent: list[str] = []
    for name, parameters in CONTROLS.items():
        for verb in ("START", "STOP"):
            word = f"{verb}-SEND-{name}"
            what = name.replace("-", " ").lower()
            more = f"Send me {what}; parameters: {parameters}." if verb == "START" else ""
            messages[word] = _control(word, more or f"Send me no more {what}.")
            messages[f"{word}.ACK"] = _control(f"{word}:ACK", f"{word} was understood.", exact=True)
            received.append(word)
            sent.append(f"{word}.ACK")
    messages["JWT-TOKEN"] = _control(
        "JWT-TOKEN", "A newer token of the same user, as jwtToken; it is not answered."
    )
    received.append("JWT-TOKEN")
    for name, summary, who, example in _SIGNALS:
        messages[name] = {
            "name": name,
            "summary": summary,
            "contentType": _PROTOCOL,
            "payload": {"$ref": "#/components/schemas/ProtocolMessage"},
            "examples": [{"payload": example}],
        }
        sent.append(name)
        if who == "both":
            received.append(name)
    return messages, received, sent


def _control(word: str, summary: str, *, exact: bool = False) -> Json:
    payload: Json = (
        {"type": "string", "const": word}
        if exact
        else {"type": "string", "pattern": rf"^{word}(\?.*)?$"}
    )
    return {"name": word, "summary": summary, "contentType": _TEXT, "payload": payload}


def _operation(action: str, summary: str, names: list[str]) -> Json:
    return {
        "action": action,
        "summary": summary,
        "channel": {"$ref": "#/channels/session"},
        "messages": [{"$ref": f"#/channels/session/messages/{name}"} for name in names],
    }
