"""The words of the tables: one `Operation` is one method of one path, and knows how to be JSON."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

Json = dict[str, object]

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"

SECURITY: tuple[Json, ...] = ({"basic": []}, {"bearer": []}, {"apiKey": []})
"""Any of these says who asks."""

READ_REFUSALS = (400, 401, 404, 408, 412, 414, 422, 429, 431, 500, 501, 503, 504)
WRITE_REFUSALS = (
    *(400, 401, 403, 404, 405, 408, 409, 412, 413, 414, 415, 422, 424, 429, 431),
    *(500, 501, 503, 504),
)
OPEN_REFUSALS = (400, 414, 431, 500)
OWN_REFUSALS = (400, 401, 403, 404, 408, 413, 414, 415, 429, 431, 500, 501, 503)

TITLES: Mapping[int, str] = {
    200: "Done; the body says what.",
    201: "Created; the body is what it is now.",
    202: "Taken; nothing is told of what becomes of it.",
    204: "Done.",
    304: "Not changed since the entity tag that was given.",
    400: "The request is wrong; the code says in what.",
    401: "Nobody known: name a user, a token or a key.",
    403: "Known, but not allowed.",
    404: "It does not exist, or you may not see it.",
    405: "The address has no such method, or not on this channel.",
    408: "No answer in time.",
    409: "It exists already, or contradicts something that does.",
    412: "A precondition or the condition does not hold.",
    413: "The body, or what would become of the entity, is too large.",
    414: "Path and query are too long.",
    415: "The body is of a type that is not taken here.",
    422: "An acknowledgement or a protocol message cannot be read.",
    424: "Not all acknowledgements that were asked for came, and were good.",
    429: "Too much at once; try again later.",
    431: "Too many headers, or one too long.",
    500: "A fault of the node; its log has it under the correlation id.",
    501: "Eclipse Ditto has it, this release has not.",
    503: "The node cannot do it now.",
    504: "The node did not get it done in time.",
}


@dataclass(frozen=True, slots=True)
class Body:
    """What a request carries."""

    schema: str
    """A name in `schemas.SCHEMAS`."""
    media_types: tuple[str, ...] = (JSON,)
    required: bool = True
    example: object = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What an answer carries: ``schema`` is a name in `schemas.SCHEMAS`; empty for no body."""

    schema: str = ""
    media_types: tuple[str, ...] = (JSON,)
    headers: tuple[str, ...] = ()
    title: str = ""
    required: bool = True


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path."""

    method: str
    path: str
    tag: str
    summary: str
    replies: Mapping[int, Reply]
    parameters: tuple[str, ...] = ()
    """Names in `parameters.PARAMETERS`, without those that the path names."""
    body: Body | None = None
    refusals: tuple[int, ...] = WRITE_REFUSALS
    text: str = ""
    """More than the summary, in Markdown."""
    open: bool = False
    """Nobody is asked who they are."""
    any_status: str = ""
    """Who may answer with a status of his own choice, in a sentence."""
    may_be_open: bool = False
    """A setting opens it to everybody."""

    @property
    def id(self) -> str:
        """A name for generated code: ``putThingsAttributesByAttributePath``."""
        words = [self.method.lower()]
        for part in self.path.strip("/").split("/"):
            if part in {"api", "2", "v1"}:
                continue
            text = part.strip("{}")
            text = f"by-{text}" if part.startswith("{") else text
            words += [w[:1].upper() + w[1:] for w in re.split(r"[^A-Za-z0-9]+", text) if w]
        return "".join(words)

    @property
    def path_parameters(self) -> tuple[str, ...]:
        """The names in braces."""
        return tuple(re.findall(r"\{([^}]+)\}", self.path))

    def render(self) -> Json:
        """The operation object of OpenAPI."""
        names = (*self.path_parameters, *self.parameters)
        rendered: Json = {
            "operationId": self.id,
            "tags": [self.tag],
            "summary": self.summary,
            "responses": self._responses(),
        }
        if self.text:
            rendered["description"] = self.text
        if names:
            rendered["parameters"] = [{"$ref": f"#/components/parameters/{n}"} for n in names]
        if self.body is not None:
            content = {
                m: _media(self.body.schema, self.body.example) for m in self.body.media_types
            }
            rendered["requestBody"] = {"required": self.body.required, "content": content}
        if self.open:
            rendered["security"] = []
        elif self.may_be_open:
            rendered["security"] = [{}, *SECURITY]
        return rendered

    def _responses(self) -> Json:
        found: Json = {}
        for status, reply in sorted(self.replies.items()):
            answer: Json = {"description": reply.title or TITLES[status]}
            headers = ("correlation-id", *reply.headers)
            answer["headers"] = {n: {"$ref": f"#/components/headers/{n}"} for n in headers}
            if reply.schema:
                answer["content"] = {m: _media(reply.schema) for m in reply.media_types}
            found[str(status)] = answer
        for status in self.refusals:
            if status not in self.replies:
                found[str(status)] = {"$ref": f"#/components/responses/{status}"}
        if self.any_status:
            found["default"] = {"description": self.any_status, "content": {"*/*": {}}}
        return found


def refusals() -> Json:
    """The shared answers that say why not, by status."""
    return {
        str(status): {
            "description": title,
            "headers": {"correlation-id": {"$ref": "#/components/headers/correlation-id"}},
            "content": {JSON: _media("NotAllAcknowledged" if status in {408, 424} else "Problem")},
        }
        for status, title in TITLES.items()
        if status >= 400
    }


def paths(operations: Iterable[Operation]) -> Json:
    """The paths object of OpenAPI."""
    found: dict[str, Json] = {}
    for one in operations:
        item = found.setdefault(one.path, {})
        method = one.method.lower()
        if method in item:
            raise AssertionError(f"{one.method} {one.path} is in the tables twice")
        item[method] = one.render()
    return dict(found)


def _media(schema: str, example: object = None) -> Json:
    media: Json = {"schema": {"$ref": f"#/components/schemas/{schema}"}}
    if example is not None:
        media["example"] = example
    return media
