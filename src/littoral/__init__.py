"""Littoral: an edge-to-cloud platform whose two sides run the same node."""

from collections.abc import Callable

__version__ = "0.1.0"


def __getattr__(name: str) -> Callable[..., Callable[..., object]]:
    """`littoral.on` and `littoral.every`, for files of handlers; nobody else pays for them."""
    if name in {"on", "every"}:
        from littoral import functions  # noqa: PLC0415

        return functions.on if name == "on" else functions.every
    raise AttributeError(f"module 'littoral' has no attribute {name!r}")
