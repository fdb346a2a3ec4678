"""Who am I, and what may I do: GET /api/2/whoami and POST /api/2/checkPermissions."""

from littoral.api.errors import MethodNotAllowed, RouteMissing
from littoral.api.http import Answer, Request, json_answer
from littoral.api.pipeline import Commands, answer_of, headers_of, json_value
from littoral.twin import Caller
from littoral.twin.protocol import Action, Command


class WhoAmI:
    """GET /api/2/whoami."""

    async def handle(self, request: Request, caller: Caller, rest: tuple[str, ...]) -> Answer:
        """Say under which subjects the caller is known."""
        if rest:
            raise RouteMissing("there is nothing at this address.", hint="See /api/2/whoami.")
        if request.method not in {"GET", "HEAD"}:
            raise MethodNotAllowed(request.method, ("GET",))
        subjects = sorted(caller.subjects, key=lambda one: (one != caller.subject, one))
        return json_answer({"defaultSubject": caller.subject, "subjects": subjects})


class PermissionRoutes:
    """POST /api/2/checkPermissions."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    async def handle(self, request: Request, caller: Caller, rest: tuple[str, ...]) -> Answer:
        """Answer the caller's questions, by the names that it gave them."""
        if rest:
            raise RouteMissing("there is nothing there.", hint="See /api/2/checkPermissions.")
        if request.method != "POST":
            raise MethodNotAllowed(request.method, ("POST",))
        headers = headers_of(request)
        command = Command(Action.CHECK, "policies", "", "/", await json_value(request))
        return answer_of(request, await self._commands.run(caller, command, headers))
