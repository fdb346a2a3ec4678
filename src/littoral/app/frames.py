"""Frames of WebSockets, as bytes: what a server reads and writes. Pure.

Spec: RFC 6455 §5; no extension is offered, so no reserved bit may be set.
"""

from enum import IntEnum
from typing import NamedTuple

try:
    from websockets.speedups import apply_mask
except ImportError:  # a platform without a wheel
    from websockets.utils import apply_mask

MESSAGE_BYTES_MAX = 1024 * 1024
"""One message, all of its fragments together; longer ones end the connection."""

FRAGMENTS_MAX = 1024
"""Fragments of one message."""


class Code(IntEnum):
    """Why a WebSocket ends. Source: RFC 6455 §7.4."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL = 1002
    NO_STATUS = 1005
    ABNORMAL = 1006
    INVALID_DATA = 1007
    POLICY = 1008
    TOO_BIG = 1009
    FAILED = 1011


class Violation(Exception):
    """The peer broke the rules: the connection ends with this code."""

    def __init__(self, code: Code, reason: str) -> None:
        super().__init__(reason)
        self.code = code


CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
_FIN = 0x80
_CONTROL_BYTES_MAX = 125


class Frame(NamedTuple):
    """A whole message, or a control frame."""

    opcode: int
    payload: bytes


class FrameReader:
    """Makes messages out of what a client sends, however it was cut."""

    def __init__(self, *, bytes_max: int = MESSAGE_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._buffer = bytearray()
        self._wanted = 0
        self._fragments: list[bytes] = []
        self._fragments_bytes = 0
        self._opcode = 0

    def feed(self, data: bytes) -> list[Frame]:
        """Take what came; return what is complete.

        Raises:
            Violation: what came before it in ``data`` is lost with the connection.
        """
        if self._buffer:
            data = self._gathered(data)
        found: list[Frame] = []
        at, end = 0, len(data)
        while end - at >= 2:
            head, length = data[at], data[at + 1]
            if length < 0x80:
                raise Violation(Code.PROTOCOL, "a client's frame is not masked")
            if head & 0x70:
                raise Violation(Code.PROTOCOL, "a reserved bit is set")
            length &= 0x7F
            start = at + 2
            if length == 126:
                if end - start < 2:
                    break
                length = data[start] << 8 | data[start + 1]
                start += 2
            elif length == 127:
                if end - start < 8:
                    break
                length = int.from_bytes(data[start : start + 8], "big")
                start += 8
            if length > self._bytes_max:
                raise Violation(Code.TOO_BIG, "the message is too long")
            stop = start + 4 + length
            if stop > end:
                self._wanted = stop - at
                break
            payload = apply_mask(data[start + 4 : stop], data[start : start + 4])
            at = stop
            opcode = head & 0x0F
            if head & _FIN and opcode in {TEXT, BINARY} and not self._fragments:
                found.append(Frame(opcode, payload))
            else:
                self._add(opcode, payload, is_last=bool(head & _FIN), found=found)
        self._buffer += data[at:]
        return found

    def _gathered(self, data: bytes) -> bytes:
        """What waits and ``data``; nothing while a frame is known to be incomplete.

        A long frame that comes in small pieces is copied once, not once a piece.
        """
        self._buffer += data
        if len(self._buffer) < self._wanted:
            return b""
        data = bytes(self._buffer)
        self._buffer.clear()
        self._wanted = 0
        return data

    def _add(self, opcode: int, payload: bytes, *, is_last: bool, found: list[Frame]) -> None:
        """Take a control frame, or a part of a message."""
        if opcode >= CLOSE:
            if opcode > PONG or not is_last or len(payload) > _CONTROL_BYTES_MAX:
                raise Violation(Code.PROTOCOL, "a control frame is malformed")
            found.append(Frame(opcode, payload))
            return
        if (opcode == CONTINUATION) != bool(self._fragments) or opcode > BINARY:
            raise Violation(Code.PROTOCOL, "a fragment is out of place")
        if opcode != CONTINUATION:
            self._opcode = opcode
        self._fragments.append(payload)
        self._fragments_bytes += len(payload)
        if self._fragments_bytes > self._bytes_max or len(self._fragments) > FRAGMENTS_MAX:
            raise Violation(Code.TOO_BIG, "the message is too long")
        if is_last:
            found.append(Frame(self._opcode, b"".join(self._fragments)))
            self._fragments.clear()
            self._fragments_bytes = 0


def head_of(opcode: int, size: int) -> bytes:
    """The bytes before a server's payload."""
    if size < 126:
        return bytes((_FIN | opcode, size))
    if size < 0x10000:
        return bytes((_FIN | opcode, 126, size >> 8, size & 0xFF))
    return bytes((_FIN | opcode, 127)) + size.to_bytes(8, "big")


def encode_close(code: int, reason: str = "") -> bytes:
    """A whole frame that ends the connection."""
    payload = b""
    if code not in {Code.NO_STATUS, Code.ABNORMAL}:
        text = reason.encode()[: _CONTROL_BYTES_MAX - 2].decode(errors="ignore")
        payload = code.to_bytes(2, "big") + text.encode()
    return head_of(CLOSE, len(payload)) + payload


def decode_close(payload: bytes) -> int:
    """The code of a client's close frame; raise `Violation` if it is none."""
    if not payload:
        return Code.NO_STATUS
    code = int.from_bytes(payload[:2], "big")
    if (
        len(payload) == 1
        or not (1000 <= code <= 1014 or 3000 <= code <= 4999)
        or code
        in {
            1004,
            Code.NO_STATUS,
            Code.ABNORMAL,
        }
    ):
        raise Violation(Code.PROTOCOL, "the close frame is malformed")
    try:
        payload[2:].decode()
    except UnicodeDecodeError:
        raise Violation(Code.INVALID_DATA, "the reason is not UTF-8") from None
    return code
