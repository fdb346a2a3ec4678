"""Ditto's /api/2/policies: whole policies and the parts of their entries."""

from littoral.api.answers import Answer, empty_answer, json_answer
from littoral.api.errors import MethodNotAllowed, NotSupported, RouteMissing
from littoral.api.expectation import Expectation, command_expectation, conditions_of
from littoral.api.model import TIMEOUT_S_MAX
from littoral.api.request import Request
from littoral.kernel.ids import PolicyId, parse_policy_id
from littoral.kernel.limits import POLICY_BYTES_MAX
from littoral.policy import PolicyTooLarge
from littoral.twin import Caller, Twins
from littoral.twin import fields as selectors
from littoral.twin.protocol import UnknownPath, check_path

_RESOURCES_AT = 2
"""Where the word ``resources`` stands below a policy: ``entries/<label>/resources``."""


class PolicyRoutes:
    """Handles what comes after /api/2/policies."""

    def __init__(self, twins: Twins) -> None:
        self._twins = twins

    async def handle(self, request: Request, caller: Caller, rest: tuple[str, ...]) -> Answer:
        """Answer a request; ``rest`` are the segments after ``policies``."""
        if not rest:
            raise NotSupported(
                "policies are created by PUT in this release.",
                hint="PUT /api/2/policies/<policyId>.",
            )
        policy_id = parse_policy_id(rest[0])
        path = _path(rest[1:])
        match request.method:
            case "GET" | "HEAD":
                return await self._read(request, caller, policy_id, path)
            case "PUT":
                return await self._put(request, caller, policy_id, path)
            case "DELETE":
                expectation = command_expectation(request)
                await expectation.of(self._twins.delete_policy(caller, policy_id, path))
                return empty_answer(204 if expectation.respond else 202)
            case _:
                raise MethodNotAllowed(request.method, ("GET", "PUT", "DELETE"))

    async def _put(
        self, request: Request, caller: Caller, policy_id: PolicyId, path: str
    ) -> Answer:
        expectation = command_expectation(request)
        conditions = conditions_of(request)
        value = await request.json_body(POLICY_BYTES_MAX, PolicyTooLarge)
        outcome = await expectation.of(
            self._twins.put_policy(caller, policy_id, path, value, conditions=conditions)
        )
        if not expectation.respond:
            return empty_answer(202)
        if not outcome.created:
            return empty_answer(204, etag=outcome.etag)
        answer = json_answer(outcome.value, status=201, etag=outcome.etag)
        answer.headers["location"] = request.location()
        return answer

    async def _read(
        self, request: Request, caller: Caller, policy_id: PolicyId, path: str
    ) -> Answer:
        view = await Expectation(TIMEOUT_S_MAX, respond=True).of(
            self._twins.retrieve_policy(
                caller,
                policy_id,
                path,
                at_revision=request.number("at-historical-revision", low=1, high=2**62),
                conditions=conditions_of(request),
            )
        )
        value = view.value
        selected = request.query.get("fields")
        if selected is not None:
            if isinstance(value, dict) and path == "/":
                value = value | {"_revision": view.revision}
            value = selectors.select(value, selectors.parse(selected))
        return json_answer(value, etag=view.etag)


def _path(rest: tuple[str, ...]) -> str:
    """The place in the policy; a resource's key has slashes of its own and comes last."""
    if len(rest) > _RESOURCES_AT + 1 and rest[_RESOURCES_AT] == "resources":
        resource = "/".join(rest[_RESOURCES_AT + 1 :])
        # The slash of 'thing:/' is the last of the address, and is lost like any last slash.
        resource += "/" if resource.endswith(":") else ""
        rest = (*rest[: _RESOURCES_AT + 1], resource)
    try:
        return check_path("policies", "/" + "/".join(part.replace("/", "~1") for part in rest))
    except UnknownPath as e:
        raise RouteMissing("policies have nothing there.", hint="See /entries/<label>.") from e
