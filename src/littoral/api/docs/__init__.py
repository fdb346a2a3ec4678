"""What the door says about itself: OpenAPI, AsyncAPI, and a page to read and try them.

    /openapi.json    OpenAPI 3.1 of everything that answers over HTTP
    /asyncapi.json   AsyncAPI 3 of the WebSocket at /ws/2
    /docs            both, as a page without any outside asset

The documents are made from tables (`twins`, `policies`, `more`, `beyond`) when somebody asks for
them, and nothing of this is imported before: a site's start and memory do not pay for it.

Invariant: what the door answers is in the tables. tests/tidy/test_openapi.py compares them with the
code, and the tests of the API check every answer they get against the document.
"""

from littoral.api.docs.routes import document_routes

__all__ = ["document_routes"]
