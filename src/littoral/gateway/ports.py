"""What a door asks of the node: who a device is, where its messages go, when they are durable.

The node's own parts fit as they are (`Log`, `Registry`, `Twins`); tests and benchmarks bring less.
"""

from collections.abc import Callable
from typing import Protocol

from littoral.kernel.errors import LittoralError
from littoral.registry import DeviceIdentity, RegistryChange


class Commits(Protocol):
    """The log, as far as acknowledgements depend on it."""

    @property
    def batch(self) -> int:
        """Number of the batch that is open now."""
        ...

    def on_commit(self, callback: Callable[[LittoralError | None], None]) -> None:
        """Call ``callback`` once, on the loop, when the open batch is durable or has failed.

        It is called after the callbacks of earlier batches, even if nothing is appended any more.
        """
        ...

    def hasten(self) -> None:
        """Let a commit begin if enough is open and none runs; called between two buffers."""
        ...


class Devices(Protocol):
    """The registry, as far as a door needs it."""

    async def authenticate_device(self, username: str, password: str) -> DeviceIdentity:
        """Who ``auth-id@tenant`` with this password is.

        Raises:
            Unauthenticated, Forbidden: no such device, wrong secret; or disabled.
        """
        ...

    def authenticate_device_nowait(self, username: str, password: str) -> DeviceIdentity | None:
        """The same, if it can be said at once; None if it takes a thread's time."""
        ...

    def on_change(self, hook: Callable[[RegistryChange], None]) -> None:
        """Call ``hook`` after every accepted change."""
        ...


class DeviceDoor(Protocol):
    """The twin's entrance for one device: synchronous, into the log's open batch.

    Whoever calls acknowledges by `Commits.on_commit`. What cannot be taken is a `LittoralError`.
    """

    def telemetry(
        self,
        feature: str,
        payload: bytes,
        device_time: int | None = None,
        message_id: str | None = None,
        cls: int = ...,
    ) -> bool:
        """Merge a JSON object into a feature; False: this message id is stored already."""
        ...

    def bulk(
        self,
        content_type: str | None,
        payload: bytes,
        *,
        device_time: int | None = None,
        message_id: str | None = None,
    ) -> bool:
        """Keep bytes as they are; False: this message id is stored already."""
        ...

    def protocol(self, payload: bytes, message_id: str | None = None) -> bytes | None:
        """Carry out one Ditto Protocol message about the own thing; return its response.

        A change that was made for this message id before is not made again.
        """
        ...


class DeviceDoors(Protocol):
    """The twins, as far as a door needs them."""

    def door(self, identity: DeviceIdentity) -> DeviceDoor:
        """The entrance for one device."""
        ...
