"""Transactions: several commands on things of one namespace, all done or none."""

from collections.abc import Sequence

import msgspec

from littoral.kernel.errors import LittoralError
from littoral.kernel.time import Clock
from littoral.twin.entities import Engine
from littoral.twin.errors import InvalidThing, InvalidTransaction
from littoral.twin.model import Caller, Outcome, TwinSettings
from littoral.twin.policies import PolicyBook, PolicyCommands
from littoral.twin.things.commands import ThingCommands
from littoral.twin.things.staging import Staging, Step, check_steps


class Transactions:
    """Does commands together."""

    def __init__(
        self,
        engine: Engine,
        book: PolicyBook,
        policies: PolicyCommands,
        clock: Clock,
        settings: TwinSettings,
    ) -> None:
        self._engine = engine
        self._book = book
        self._policies = policies
        self._clock = clock
        self._settings = settings

    def run(self, caller: Caller, steps: Sequence[Step]) -> list[Outcome]:
        """Decide ``steps`` one after the other, each on what those before it make; then write all.

        A refusal carries ``facts["step"]``, the index of the command that was refused.

        Raises:
            InvalidTransaction, and what `ThingCommands` raises of one command; nothing is written
            then.
        """
        check_steps(steps)
        staging = Staging(self._engine)
        things = self._commands(staging)
        outcomes: list[Outcome] = []
        written: list[int] = []
        for index, step in enumerate(steps):
            before = len(staging.writes)
            try:
                outcomes.append(_done(things, caller, step))
            except LittoralError as e:
                e.facts["step"] = index
                raise
            if len(staging.writes) > before:
                written.append(index)
        for index, seq in zip(written, staging.commit(), strict=True):
            outcomes[index] = msgspec.structs.replace(outcomes[index], seq=seq)
        return outcomes

    def rehearse(self, caller: Caller, step: Step) -> Outcome:
        """What a command would come to; nothing is written. Raises what doing it would."""
        return _done(self._commands(Staging(self._engine)), caller, step)

    def _commands(self, staging: Staging) -> ThingCommands:
        return ThingCommands(
            staging, self._book, self._policies, self._clock, self._settings, makes_policies=False
        )


def _done(things: ThingCommands, caller: Caller, step: Step) -> Outcome:
    thing_id, path, value, conditions = step.thing_id, step.path, step.value, step.conditions
    match step.action:
        case "create":
            if not isinstance(value, dict):
                raise InvalidThing("a thing is a JSON object.")
            return things.create_thing(caller, value, thing_id=thing_id, conditions=conditions)
        case "modify":
            return things.modify(caller, thing_id, path, value, conditions=conditions)
        case "merge":
            return things.merge(caller, thing_id, path, value, conditions=conditions)
        case "delete":
            return things.delete(caller, thing_id, path, conditions=conditions)
        case other:
            raise InvalidTransaction(
                f"{other[:40]!r} is no command on a thing.",
                hint="It is create, modify, merge or delete.",
            )
