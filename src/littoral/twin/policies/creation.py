"""Who may create entities. Source: Ditto's ``entity-creation``, §4.8."""

from collections.abc import Iterable
from fnmatch import fnmatchcase

from littoral.kernel.ids import namespace_of
from littoral.twin.model import Caller
from littoral.twin.policies.errors import NotCreatable
from littoral.twin.policies.settings import CreationRule, PolicySettings


class CreationRules:
    """The operator's word on who creates what: some grant must fit, and no revoke."""

    def __init__(self, settings: PolicySettings) -> None:
        self._grants = settings.creation_grants
        self._revokes = settings.creation_revokes
        self._open = self._grants == (CreationRule(),) and not self._revokes

    def check(self, caller: Caller, kind: str, entity_id: str, definition: object = None) -> None:
        """Raise `NotCreatable` unless ``caller`` may create a ``thing`` or ``policy`` there."""
        if self._open or caller.unrestricted:
            return
        asked = (caller, kind, namespace_of(entity_id), definition)
        if not any(_matches(rule, *asked) for rule in self._grants) or any(
            _matches(rule, *asked) for rule in self._revokes
        ):
            raise NotCreatable(
                f"you may not create {entity_id}.",
                hint="The operator restricts who creates what in which namespace.",
            )


def _matches(
    rule: CreationRule, caller: Caller, kind: str, namespace: str, definition: object
) -> bool:
    if rule.resource_types and kind not in rule.resource_types:
        return False
    if rule.namespaces and not _any(rule.namespaces, (namespace,)):
        return False
    if rule.auth_subjects and not _any(rule.auth_subjects, caller.subjects):
        return False
    if rule.thing_definitions and kind == "thing":
        return _any(rule.thing_definitions, (definition if isinstance(definition, str) else "",))
    return True


def _any(patterns: tuple[str, ...], texts: Iterable[str]) -> bool:
    return any(fnmatchcase(text, pattern) for text in texts for pattern in patterns)
