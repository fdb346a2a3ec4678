"""What one caller may read of the things of one policy, as rules that need no policy to be loaded."""

from collections.abc import Iterable, Mapping

from littoral.search.model import Rule, Shape

FULL = 0
"""The class of policies that let the caller read everything."""


class Sight:
    """What a set of rules lets one see, leaf by leaf. Source: as `littoral.policy` trims.

    The deepest rule at or above a leaf decides; at equal depth a revoke wins.
    """

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._rules: dict[str, bool] = {}
        for path, allows in rules:
            self._rules[path] = allows and self._rules.get(path, True)

    @property
    def is_full(self) -> bool:
        """Whether everything is seen."""
        return bool(self._rules.get("")) and all(self._rules.values())

    @property
    def is_blind(self) -> bool:
        """Whether nothing can be seen."""
        return not any(self._rules.values())

    def shows(self, path: str) -> bool:
        """Whether the leaf at ``path`` is seen."""
        rules = self._rules
        while True:
            found = rules.get(path)
            if found is not None:
                return found
            if not path:
                return False
            path = path.rpartition("/")[0]


def shapes_of(reading: Mapping[str, Iterable[Rule]]) -> dict[str, Shape]:
    """For each subject, its rules in a form that is equal if they say the same."""
    return {subject: tuple(sorted(set(rules))) for subject, rules in reading.items()}
