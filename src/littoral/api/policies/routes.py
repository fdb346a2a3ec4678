"""Ditto's /api/2/policies: whole policies, every part of them, and the actions."""

from collections.abc import Callable

from littoral.api.errors import MethodNotAllowed, RouteMissing
from littoral.api.http import Answer, Request
from littoral.api.pipeline import Commands, answer_of, headers_of, id_for, json_value
from littoral.kernel import json
from littoral.kernel.errors import InvalidJson
from littoral.kernel.limits import POLICY_BYTES_MAX
from littoral.kernel.merge import check_depth
from littoral.policy import PolicyTooLarge
from littoral.twin import Caller, PolicyIdNotSettable, policy_methods
from littoral.twin.protocol import (
    ABSENT,
    Action,
    Command,
    UnknownPath,
    check_path,
    policy_action,
)

_RESOURCES_AT = 2
"""Where the word ``resources`` stands below a policy: ``entries/<label>/resources``."""


class PolicyRoutes:
    """Handles what comes after /api/2/policies."""

    def __init__(self, commands: Commands, new_id: Callable[[], str]) -> None:
        self._commands = commands
        self._new_id = new_id

    async def handle(self, request: Request, caller: Caller, rest: tuple[str, ...]) -> Answer:
        """Answer a request; ``rest`` are the segments after ``policies``."""
        if not rest:
            if request.method != "POST":
                raise MethodNotAllowed(request.method, ("POST",))
            return await self._create(request, caller)
        path = _path(rest[1:])
        if policy_action(path) is not None:
            return await self._act(request, caller, rest[0], path)
        allowed = policy_methods(path)
        if not allowed:
            raise RouteMissing("policies have nothing there.", hint="See /entries/<label>.")
        value: object = ABSENT
        match request.method:
            case "GET" | "HEAD":
                action = Action.RETRIEVE
            case "PUT" if "PUT" in allowed:
                action, value = (
                    Action.MODIFY,
                    await json_value(request, POLICY_BYTES_MAX, PolicyTooLarge),
                )
            case "DELETE" if "DELETE" in allowed:
                action = Action.DELETE
            case _:
                raise MethodNotAllowed(request.method, allowed)
        command = Command(action, "policies", rest[0], path, value, request.query.get("fields"))
        return answer_of(request, await self._commands.run(caller, command, headers_of(request)))

    async def _create(self, request: Request, caller: Caller) -> Answer:
        headers = headers_of(request)
        document = await json_value(request, POLICY_BYTES_MAX, PolicyTooLarge)
        if not isinstance(document, dict):
            raise InvalidJson("a policy is a JSON object.")
        if "policyId" in document:
            raise PolicyIdNotSettable(
                "a policy that is created by POST gets its id from the node.",
                hint="PUT it to /api/2/policies/<policyId> to choose the id.",
            )
        policy_id = id_for(request, self._new_id())
        command = Command(Action.CREATE, "policies", policy_id, "/", document)
        result = await self._commands.run(caller, command, headers)
        return answer_of(request, result, below=f"/{policy_id}")

    async def _act(self, request: Request, caller: Caller, policy_id: str, path: str) -> Answer:
        if request.method != "POST":
            raise MethodNotAllowed(request.method, ("POST",))
        body = await request.body(POLICY_BYTES_MAX, PolicyTooLarge)
        value = json.decode(body) if body else {}
        check_depth(value)
        command = Command(Action.MODIFY, "policies", policy_id, path, value)
        return answer_of(request, await self._commands.run(caller, command, headers_of(request)))


def _path(rest: tuple[str, ...]) -> str:
    """The place in the policy; a resource's key has slashes of its own and comes last."""
    if len(rest) > _RESOURCES_AT + 1 and rest[_RESOURCES_AT] == "resources":
        resource = "/".join(rest[_RESOURCES_AT + 1 :])
        # The slash of 'thing:/' is the last of the address, and is lost like any last slash.
        resource += "/" if resource.endswith(":") else ""
        rest = (*rest[: _RESOURCES_AT + 1], resource)
    try:
        # '~0' and '~1' are the pointer's own escapes; a slash that came as %2F belongs to a key.
        return check_path("policies", "/" + "/".join(part.replace("/", "~1") for part in rest))
    except UnknownPath as e:
        raise RouteMissing("policies have nothing there.", hint="See /entries/<label>.") from e
