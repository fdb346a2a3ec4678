"""``user set`` and ``apikey create``: who may talk to a node. For administrators."""

import re
import sys
from enum import StrEnum
from typing import Annotated

import typer

from littoral.cli.output import Form, note, show_one
from littoral.cli.target import Target

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_TIME = re.compile(r"(\d{1,9})([smhdw]?)")


class RoleName(StrEnum):
    """What somebody may do besides what policies say."""

    ADMIN = "admin"
    DEVOPS = "devops"
    STATUS = "status"
    USER = "user"


def seconds_of(text: str | int) -> int:
    """``3600``, ``30m``, ``12h``, ``90d``, ``2w``.

    Raises:
        typer.BadParameter: a usage error.
    """
    found = _TIME.fullmatch(str(text).strip())
    if found is None or int(found[1]) == 0:
        raise typer.BadParameter(f"{text!r} is no time: write 30m, 12h, 90d.")
    return int(found[1]) * _UNITS[found[2]]


def user_set(
    target: Target,
    name: Annotated[str, typer.Argument(help="The user's name.")],
    role: Annotated[
        list[RoleName] | None,
        typer.Option(help="Repeat it. None: those of before; user if new."),
    ] = None,
    output: Annotated[Form, typer.Option("--output", "-o", help="How to print it.")] = Form.TABLE,
) -> None:
    """Create a user, or give one another password and roles.

    The password is asked for; it is the first line of stdin if that is no terminal.
    """
    import msgspec

    from littoral.client import NotThere

    secret = _secret(name)
    with target.client() as client:
        try:
            before = client.administration.user(name).roles
        except NotThere:
            before = None
        roles = [str(one) for one in role] if role else list(before or (RoleName.USER,))
        user = client.administration.put_user(name, secret, roles=roles)
    if output is Form.TABLE:
        done = "created" if before is None else "changed"
        sys.stdout.write(f"user/{user.name} {done} ({', '.join(user.roles)})\n")
    else:
        show_one(msgspec.to_builtins(user), form=output)


def _secret(name: str) -> str:
    if sys.stdin.isatty():
        answer: str = typer.prompt(
            f"password for {name}", hide_input=True, confirmation_prompt=True, err=True
        )
        return answer
    line = sys.stdin.readline().rstrip("\r\n")
    if not line:
        raise typer.BadParameter("there is no password: write it to stdin, as one line.")
    return line


def apikey_create(
    target: Target,
    subjects: Annotated[
        list[str],
        typer.Argument(metavar="SUBJECT", help="As policies name them; the default first."),
    ],
    role: Annotated[list[RoleName] | None, typer.Option(help="Repeat it.")] = None,
    ttl: Annotated[
        int | None,
        typer.Option(parser=seconds_of, metavar="TIME", help="30m, 12h, 90d; none: no end."),
    ] = None,
    comment: Annotated[str, typer.Option(help="What it is for.")] = "",
    output: Annotated[Form, typer.Option("--output", "-o", help="How to print it.")] = Form.TABLE,
) -> None:
    """Make an API key; it is alone on stdout, this once.

    Only a digest of it is kept. `littoral delete apikey ID` revokes it.
    """
    import msgspec

    with target.client() as client:
        made = client.administration.issue_api_key(
            subjects, roles=[str(one) for one in role or ()], comment=comment, ttl_s=ttl
        )
    match output:
        case Form.TABLE:
            until = f"until {made.expires}" if made.expires else "without an end"
            note(f"apikey/{made.id} for {', '.join(made.subjects)}, {until}:", style="dim")
            sys.stdout.write(made.key + "\n")
        case Form.NAME:
            sys.stdout.write(made.key + "\n")
        case _:
            show_one(msgspec.to_builtins(made), form=output)
