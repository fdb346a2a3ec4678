"""Searches of things: as pages, as numbers, as events, and piece by piece over a WebSocket.

`routes` is /api/2/search/things, `pages` a search that is read on and on.

Invariant: what a caller may not read has no part in an answer; `littoral.search` sees to it.
"""

from littoral.api.search.pages import SearchPages, shown
from littoral.api.search.routes import SearchRoutes, query_of, searching

__all__ = ["SearchPages", "SearchRoutes", "query_of", "searching", "shown"]
