"""The part of a session that carries state in place of records that are not kept any more."""

from collections.abc import Callable, Sequence
from typing import assert_never

from littoral.edge.core.effects import AskedAgain, Effect, PartTaken
from littoral.edge.core.frames import Again, AnyFrame, Hello, Part, Taken
from littoral.edge.core.intake import Intake
from littoral.edge.core.outflow import Outflow


class Telling:
    """Pieces of state, both ways; they share the credit of the records."""

    def __init__(
        self,
        outflow: Outflow,
        intake: Intake,
        *,
        transmit: Callable[[AnyFrame], None],
        effect: Callable[[Effect], None],
    ) -> None:
        self.unfinished = ""
        """The telling that the peer has begun to take; empty if there is none."""
        self.is_open = False
        self._outflow = outflow
        self._intake = intake
        self._transmit = transmit
        self._effect = effect
        self.takes = False
        """Whether the peer takes state; an older release does not."""

    def open(self, peer: Hello) -> None:
        """Both hellos are done."""
        self.is_open, self.takes = True, peer.takes

    @property
    def may_tell(self) -> bool:
        """Whether the peer takes state in parts, and has room for one now."""
        return self.is_open and self.takes and self._outflow.has_credit

    def receive(self, frame: Part | Taken | Again, *, peer: str) -> None:
        """A frame came. Raises `LinkPeerError`."""
        match frame:
            case Part():
                self._effect(self._intake.admit_part(frame, peer=peer))
            case Taken(number, refused):
                self._effect(PartTaken(number, refused))
            case Again(entities):
                self._effect(AskedAgain(tuple(entities)))
            case _:
                assert_never(frame)

    def skip(self, cls: int, seq: int) -> None:
        """Send no records of ``cls`` up to ``seq``: some are gone, and state is told instead."""
        self._outflow.skip(cls, seq)

    def tell(self, part: Part) -> None:
        """Send a piece of state; `PartTaken` answers it."""
        self._outflow.spend(part.count, part.raw_bytes)
        self._transmit(part)

    def took(self, part: Part, *, refused: bool = False) -> None:
        """Answer `TakePart`: it is durable, or was refused."""
        self._intake.took(part)
        if self.is_open:
            self._transmit(Taken(part.number, refused))

    def ask_again(self, entities: Sequence[str]) -> None:
        """Ask to be told these entities as the peer knows them now."""
        if self.is_open:
            self._transmit(Again(list(entities)))
