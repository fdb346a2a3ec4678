"""Which node a command talks to, and as whom: ``--url``, ``--user`` …, at either end.

People write ``littoral get things --url …`` and ``littoral --url … get things``; both hold, the
option nearest to the command wins, and the environment fills in what neither says.
"""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from littoral.client import Client

DEFAULT_URL = "http://127.0.0.1:8080"
PANEL = "Node"


@dataclass(frozen=True, slots=True)
class Target:
    """A node, and as whom to talk to it."""

    url: str = DEFAULT_URL
    user: str = ""
    password: str = field(default="", repr=False)
    api_key: str = field(default="", repr=False)
    """Or a JWT; instead of user and password."""

    def client(self) -> "Client":
        """A client for it, to be used in a ``with`` block."""
        from littoral.client import Client

        return Client(self.url, user=self.user, password=self.password, token=self.api_key)

    def or_else(self, **given: str | None) -> "Target":
        """The same, with what is given instead; a name of a user puts an API key aside."""
        chosen = {name: value for name, value in given.items() if value is not None}
        if "user" in chosen:
            chosen.setdefault("api_key", "")
        return replace(self, **chosen)


def remember(
    context: typer.Context,
    url: Annotated[
        str,
        typer.Option(envvar="LITTORAL_URL", help="The node's HTTP door.", rich_help_panel=PANEL),
    ] = DEFAULT_URL,
    user: Annotated[
        str, typer.Option(envvar="LITTORAL_USER", help="Your name there.", rich_help_panel=PANEL)
    ] = "",
    password: Annotated[
        str,
        typer.Option(
            envvar="LITTORAL_PASSWORD",
            help="Your password; the variable keeps it out of the process list.",
            rich_help_panel=PANEL,
        ),
    ] = "",
    api_key: Annotated[
        str,
        typer.Option(
            envvar="LITTORAL_API_KEY",
            help="An API key, or a token (JWT), instead of both.",
            rich_help_panel=PANEL,
        ),
    ] = "",
) -> None:
    """The options of the whole command line."""
    context.obj = Target(url, user, password, api_key)


def on_node(command: Callable[..., None]) -> Callable[..., None]:
    """Give ``command``, whose first parameter is its `Target`, the options of one."""
    options = {
        name: Annotated[
            str | None,
            typer.Option(
                f"--{name.replace('_', '-')}", help=text, rich_help_panel=PANEL, show_default=False
            ),
        ]
        for name, text in (
            ("url", f"The node's HTTP door (or LITTORAL_URL; else {DEFAULT_URL})."),
            ("user", "Your name there (or LITTORAL_USER)."),
            ("password", "Your password (or LITTORAL_PASSWORD)."),
            ("api_key", "An API key or a token, instead of both (or LITTORAL_API_KEY)."),
        )
    }

    def run(context: typer.Context, **values: Any) -> None:
        chosen = {name: values.pop(name) for name in options}
        assert isinstance(context.obj, Target)
        command(context.obj.or_else(**chosen), **values)

    own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        inspect.Parameter(
            "context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context
        ),
        *(one.replace(kind=keyword) for one in own),
        *(
            inspect.Parameter(name, keyword, default=None, annotation=option)
            for name, option in options.items()
        ),
    ]
    run.__name__, run.__doc__ = command.__name__, _flowing(command.__doc__ or "")
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    return run


def _flowing(text: str) -> str:
    """A docstring whose paragraphs are one line each: the terminal breaks them, we do not."""
    return re.sub(r"(?<!\n)\n(?!\n)", " ", inspect.cleandoc(text))
