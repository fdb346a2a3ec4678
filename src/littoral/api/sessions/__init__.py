"""WebSockets, /ws/2: sessions of the Ditto Protocol.

`websocket` is the shell around the socket, `session` what one connection is, `commands`, `live` and
`streams` what each kind of signal means to it, `control` the frames that are no envelopes.

Invariant: a session never waits for its socket; what it may hold is bounded.
"""

from littoral.api.sessions.websocket import SocketRoutes

__all__ = [
    "SocketRoutes",
]
