"""The messages of PostgreSQL's protocol (version 3), as far as a proxy must tell them apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

_STARTUP = 196608
_HEAD_BYTES = 4


@dataclass(frozen=True)
class Message:
    """One message: ``kind`` is its type byte (empty for those before the startup is done), ``raw`` all of it."""

    kind: bytes
    raw: bytes

    @property
    def text(self) -> str:
        """The text of a query message."""
        return self.raw[5:].rstrip(b"\0").decode("utf-8", "replace") if self.kind == b"Q" else ""


@dataclass
class Framing:
    """Cuts one direction of a connection into messages.

    Parameters
    ----------
    is_started:
        Whether messages carry a type byte from the first one on: a server's do, a client's only after its startup.
    """

    is_started: bool
    user: str = ""
    _buffer: bytearray = field(default_factory=bytearray)

    def feed(self, data: bytes) -> Iterator[Message]:
        """The messages that are complete with ``data``."""
        self._buffer += data
        while True:
            offset = 1 if self.is_started else 0
            if len(self._buffer) < offset + _HEAD_BYTES:
                return
            length = offset + int.from_bytes(self._buffer[offset : offset + _HEAD_BYTES])
            if len(self._buffer) < length:
                return
            raw = bytes(self._buffer[:length])
            del self._buffer[:length]
            if not self.is_started and int.from_bytes(raw[4:8]) >> 16 == _STARTUP >> 16:
                self.is_started = True
                words = raw[8:].split(b"\0")
                self.user = words[words.index(b"user") + 1].decode()
                yield Message(b"", raw)
            else:
                yield Message(raw[:1] if offset else b"", raw)
