"""The thing that an event is about, looked up only if somebody asks."""

from littoral.functions.ports import FunctionTwins
from littoral.kernel import json


class Seen:
    """A thing as one turn of the loop sees it: looked up and written once, if at all."""

    __slots__ = ("_found", "_json", "_looked", "_thing_id", "_twins")

    def __init__(self, twins: FunctionTwins, thing_id: str) -> None:
        self._twins = twins
        self._thing_id = thing_id
        self._looked = False
        self._found: object = None
        self._json: bytes | None = None

    def thing(self) -> object:
        """Its document, or None."""
        if not self._looked:
            self._looked = True
            self._found = self._twins.peek(self._thing_id)
        return self._found

    def json(self) -> bytes:
        """Its document as JSON, or nothing."""
        if self._json is None:
            found = self.thing()
            self._json = b"" if found is None else json.encode(found)
        return self._json
