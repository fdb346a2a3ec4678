"""GET /openapi.json, /asyncapi.json and /docs, made when first asked for, and / on the way there."""

import hashlib
from importlib import import_module, resources

from littoral.api.errors import MethodNotAllowed, RouteMissing
from littoral.api.http import Answer, OpenRoutes, Request, empty_answer
from littoral.kernel import json

DOCUMENTS = {
    "openapi.json": ("littoral.api.docs.openapi", "application/json"),
    "asyncapi.json": ("littoral.api.docs.asyncapi", "application/json"),
    "docs": ("", "text/html; charset=utf-8"),
}
"""Root to the module that makes it, and its media type."""

_PAGE_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; connect-src 'self'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}


def document_routes(version: str) -> dict[str, OpenRoutes]:
    """Root to what answers there."""
    documents: dict[str, OpenRoutes] = {name: _Document(name, version) for name in DOCUMENTS}
    return {**documents, "": _Root()}


class _Root:
    """``/``: where a person comes who has the address of the node and a browser."""

    async def handle(self, request: Request, rest: tuple[str, ...]) -> Answer:
        """Send to the page. Relative, so that a proxy may put a path before it."""
        if rest:
            raise RouteMissing("there is nothing at this address.", hint="See /docs.")
        if request.method not in {"GET", "HEAD"}:
            raise MethodNotAllowed(request.method, ("GET",))
        return Answer(302, b"", {"location": "docs"})


class _Document:
    """One of `DOCUMENTS`."""

    def __init__(self, name: str, version: str) -> None:
        self._name = name
        self._version = version

    async def handle(self, request: Request, rest: tuple[str, ...]) -> Answer:
        """Answer with the document."""
        if rest:
            raise RouteMissing("there is nothing at this address.", hint=f"See /{self._name}.")
        if request.method not in {"GET", "HEAD"}:
            raise MethodNotAllowed(request.method, ("GET",))
        module, media_type = DOCUMENTS[self._name]
        body = _page() if not module else self._made(module)
        etag = f'"hash:{hashlib.blake2b(body, digest_size=8).hexdigest()}"'
        if request.headers.get("if-none-match") == etag:
            return empty_answer(304, etag=etag)
        headers = {"content-type": media_type, "etag": etag, "cache-control": "no-cache"}
        # Other origins may read the documents, as they contain nothing of this node's own.
        headers |= _PAGE_HEADERS if not module else {"access-control-allow-origin": "*"}
        return Answer(200, body, headers)

    def _made(self, module: str) -> bytes:
        # Imported here: whoever never asks never pays, in start or in memory.
        document: object = import_module(module).document(self._version)
        return json.encode(document)


def _page() -> bytes:
    return resources.files("littoral.api.docs").joinpath("page.html").read_bytes()
