"""HTTP itself: requests in, answers and streams out, who asks, and pages of other origins.

`request` bounds and parses, `answers` sends, `auth` takes out the proofs, `roots` says what a route
is, `cors` and `ndjson` are two small standards, `ports` the ASGI side.

Invariant: every input is bounded before it is parsed; nothing here knows what a thing or policy is.
"""

from littoral.api.http.answers import (
    NDJSON,
    Answer,
    Stream,
    empty_answer,
    json_answer,
    problem_answer,
    send_answer,
    send_stream,
)
from littoral.api.http.auth import Authenticator, caller_of, proofs_of, require_admin, require_role
from littoral.api.http.cors import CrossOrigin
from littoral.api.http.ndjson import LineSplitter
from littoral.api.http.ports import AsgiApp, Receive, Scope, Send
from littoral.api.http.request import QUERY_OR_HEADER, Request, parse_timeout
from littoral.api.http.roots import Api2, Open, OpenRoutes

__all__ = [
    "NDJSON",
    "QUERY_OR_HEADER",
    "Answer",
    "Api2",
    "AsgiApp",
    "Authenticator",
    "CrossOrigin",
    "LineSplitter",
    "Open",
    "OpenRoutes",
    "Receive",
    "Request",
    "Scope",
    "Send",
    "Stream",
    "caller_of",
    "empty_answer",
    "json_answer",
    "parse_timeout",
    "problem_answer",
    "proofs_of",
    "require_admin",
    "require_role",
    "send_answer",
    "send_stream",
]
