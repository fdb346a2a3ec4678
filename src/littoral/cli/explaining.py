"""``littoral why``: which entries of a policy decide, and how."""

from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from littoral.cli.output import Form, show, show_one
from littoral.cli.target import Target

if TYPE_CHECKING:
    from littoral.client import Decision

COLUMNS = ("effect", "entry", "subject", "resource", "policyId")


class Permission(StrEnum):
    """What a policy grants or revokes."""

    READ = "READ"
    WRITE = "WRITE"
    EXECUTE = "EXECUTE"


def why(
    target: Target,
    thing: Annotated[str, typer.Argument(help="The thing's id; a policy's with --policy.")],
    permission: Annotated[Permission, typer.Argument(case_sensitive=False, help="The right.")],
    resource: Annotated[
        str, typer.Argument(help="thing:/features/lamp, policy:/, message:/; or a path.")
    ] = "/",
    subject: Annotated[
        list[str] | None,
        typer.Option(help="For whom, if you may ask; repeat it. None: you."),
    ] = None,
    policy: Annotated[bool, typer.Option("--policy", help="The id is a policy's.")] = False,
    output: Annotated[Form, typer.Option("--output", "-o", help="How to print it.")] = Form.TABLE,
) -> None:
    """Say why something is allowed, or why not, and by which entries.

    Of the entries that count, the deepest decides, and a revoke wins a tie. The exit code is 1 if
    it is not allowed.
    """
    import msgspec

    if resource.startswith("/"):
        resource = f"{'policy' if policy else 'thing'}:{resource}"
    with target.client() as client:
        decision = client.beyond.explain_policy(
            permission,
            resource,
            thing_id=None if policy else thing,
            policy_id=thing if policy else None,
            subjects=subject or None,
        )
    match output:
        case Form.TABLE:
            print(f"{'allowed' if decision.allowed else 'not allowed'}: {decision.because}")
            rules = sorted(_rules(decision), key=_order)
            if rules:
                print()
                show(rules, form=output, columns=COLUMNS, name="entry")
        case Form.NAME:
            print("allowed" if decision.allowed else "not allowed")
        case _:
            show_one(msgspec.to_builtins(decision), form=output)
    if not decision.allowed:
        raise typer.Exit(1)


def _rules(decision: "Decision") -> Iterator[dict[str, object]]:
    for effect, rules in (("grant", decision.granted_by), ("revoke", decision.revoked_by)):
        for rule in rules:
            yield {"effect": effect, **rule, "entry": rule.get("writtenAs") or rule.get("entry")}


def _order(rule: dict[str, object]) -> tuple[int, bool]:
    """The one that decides first."""
    depth = rule.get("depth")
    return (-depth if isinstance(depth, int) else 0, rule["effect"] == "grant")
