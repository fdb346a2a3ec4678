"""What an answer shows of a thing: Ditto's ``fields``, with the members that are hidden otherwise."""

import contextlib

from littoral.kernel.errors import LittoralError
from littoral.twin import fields
from littoral.twin.core.paths import keys_of
from littoral.twin.model import Caller, View
from littoral.twin.policies import PolicyCommands
from littoral.twin.things.reads import ThingReads


class Selection:
    """Cuts what was read to what was asked for."""

    def __init__(self, things: ThingReads, policies: PolicyCommands) -> None:
        self._things = things
        self._policies = policies

    def select(
        self,
        caller: Caller,
        view: View,
        tree: fields.Fields,
        *,
        path: str = "/",
        context: object = None,
    ) -> object:
        """The parts of ``view``, read at ``path``, that ``tree`` names; what is missing is left out.

        Args:
            caller: sees of metadata and of the policy what it may READ.
            view: as a read of a thing gave it.
            tree: `fields.parse` of a selector.
            path: where ``view`` was read.
            context: what ``_context`` is, in events.
        """
        value = view.value
        keys = keys_of(path)
        if not keys and isinstance(value, dict) and fields.wants_special(tree):
            value = value | fields.special(
                view.entity_id,
                revision=view.revision,
                created_ms=view.created_ms,
                modified_ms=view.modified_ms,
            )
            if fields.METADATA in tree:
                seen = self._things.annotations(caller, view)
                if seen is not None:
                    value[fields.METADATA] = seen
            if fields.POLICY in tree:
                # A policy that the caller may not read is left out, as any other part is.
                with contextlib.suppress(LittoralError):
                    value[fields.POLICY] = self._policies.retrieve(caller, view.policy_id).value
            if context is not None:
                value[fields.CONTEXT] = context
        return fields.select(value, tree, keys)
