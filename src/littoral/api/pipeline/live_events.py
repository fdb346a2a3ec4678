"""Live events: what a device says has happened, for whoever listens now. Nothing is stored."""

from collections.abc import Mapping

from littoral.api.parts import ApiParts
from littoral.api.pipeline.signals import SignalHeaders
from littoral.eventing import (
    Ack,
    EventNotAllowed,
    LiveKind,
    LiveReceiver,
    LiveSignal,
    SignalKind,
)
from littoral.kernel.errors import Kind, LittoralError
from littoral.twin import Caller
from littoral.twin.protocol import Envelope, check_path


class LiveEvents:
    """Publishes live events of callers who might write the same to the twin."""

    def __init__(self, parts: ApiParts) -> None:
        self._twins = parts.twins
        self._live = parts.live
        self._acks = parts.acks

    async def send(
        self,
        caller: Caller,
        envelope: Envelope,
        headers: SignalHeaders,
        *,
        source: LiveReceiver | None = None,
    ) -> Mapping[str, Ack]:
        """Publish an event, and wait for the acknowledgements that its headers ask for.

        Args:
            caller: needs WRITE on the event's path.
            envelope: its topic is of the live channel, with criterion ``events``.
            headers: as `parse_headers` reads them for the live channel.
            source: the link that it came over.

        Returns:
            What was asked for, by label; empty if nothing was. ``live-response`` is no label of an
            event: nobody responds to one.

        Raises:
            NotFound, EventNotAllowed, UnknownPath, DuplicateCorrelation, …
        """
        thing_id = envelope.topic.entity_id
        signal = LiveSignal(
            LiveKind.EVENT,
            thing_id,
            envelope.topic.action,
            check_path("things", envelope.path),
            envelope.value,
            correlation_id=headers.correlation_id,
            originator=caller.subject,
            headers=headers.custom,
            requested_acks=tuple(a for a in headers.requested_acks if a != "live-response"),
            timeout_s=headers.timeout_s,
        )
        self._check(caller, signal)
        if not signal.requested_acks:
            self._live.publish(signal, source=source)
            return {}
        with self._acks.expect(
            thing_id,
            headers.correlation_id,
            signal.requested_acks,
            headers.timeout_s,
            kind=SignalKind.LIVE_EVENT,
        ) as expected:
            self._live.publish(signal, source=source)
            return await expected.result()

    def _check(self, caller: Caller, signal: LiveSignal) -> None:
        try:
            self._twins.things.check_may_change(caller, signal.thing_id, signal.path)
        except LittoralError as e:
            if e.kind is not Kind.FORBIDDEN:
                raise
            raise EventNotAllowed(
                f"the event {signal.action[:40]!r} at {signal.path[:80]} of {signal.thing_id} "
                "may not be sent.",
                hint=f"The thing's policy has to grant WRITE on {signal.resource[:200]}.",
            ) from e
