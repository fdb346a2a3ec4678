"""Lines of JSON from a body that arrives in pieces, each line bounded. Pure."""

from collections.abc import Iterator


class LineSplitter:
    """Gives whole lines; a line over the limit is given as None, once, and skipped to its end."""

    def __init__(self, line_bytes_max: int) -> None:
        self._limit = line_bytes_max
        self._rest = b""
        self._skipping = False

    def feed(self, piece: bytes) -> Iterator[bytes | None]:
        """The lines that ``piece`` completes, without empty ones."""
        lines = (self._rest + piece).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            if self._skipping:
                self._skipping = False
            elif len(line) > self._limit:
                yield None
            elif line := line.strip():
                yield line
        if self._skipping:
            self._rest = b""
        elif len(self._rest) > self._limit:
            self._rest = b""
            self._skipping = True
            yield None

    def end(self) -> Iterator[bytes | None]:
        """The last line, if it had no line feed."""
        if line := self._rest.strip():
            yield line
        self._rest = b""
