"""One command over HTTP: the body it takes, the id it may make, the answer it gets."""

from littoral.api.errors import UnsupportedMediaType
from littoral.api.http import Answer, Request, empty_answer, json_answer
from littoral.api.pipeline.results import Result
from littoral.kernel.errors import LittoralError, TooLarge
from littoral.kernel.ids import parse_namespace
from littoral.kernel.limits import THING_BYTES_MAX
from littoral.twin.protocol import ABSENT

DEFAULT_NAMESPACE = "org.eclipse.ditto"
"""Where goes what is created without an id or a namespace. Source: Ditto."""

_JSON_TYPES = frozenset(("", "application/json", "application/octet-stream"))


async def json_value(
    request: Request, limit: int = THING_BYTES_MAX, too_large: type[LittoralError] = TooLarge
) -> object:
    """The JSON body of a PUT or POST; raise `UnsupportedMediaType` if it is something else."""
    media_type = request.media_type
    if media_type not in _JSON_TYPES:
        raise UnsupportedMediaType(
            f"the body is {media_type[:80]!r}.", hint="Send application/json."
        )
    return await request.json_body(limit, too_large)


def id_for(request: Request, name: str) -> str:
    """The id of what is created by POST: ``name`` in the namespace that the caller chose."""
    namespace = request.query.get("namespace")
    namespace = DEFAULT_NAMESPACE if namespace is None else parse_namespace(namespace)
    return f"{namespace}:{name}"


def answer_of(request: Request, result: Result, *, below: str = "") -> Answer:
    """What a command came to, as HTTP has it; what was created is at the request's own address."""
    if result.value is ABSENT:
        answer = empty_answer(result.status, etag=result.etag)
    else:
        answer = json_answer(result.value, status=result.status, etag=result.etag)
        if result.seq and (result.created or result.status == 201):
            answer.headers["location"] = request.location(below)
    if result.headers:
        answer.headers |= result.headers
    return answer
