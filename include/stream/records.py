"""Cuts a delivered file into records, in one way for all who read it.

A record ends at a line end (``\\n``, ``\\r\\n`` or a lone ``\\r``) outside quotes. A quote opens only at the start of a
field; inside quotes ``""`` is a quote, and what follows the closing quote is text again, as Arrow's CSV parser has it.
What begins at a position depends on nothing before it, so a file can be read from any boundary between two records.

A record that is too long, or whose quote is never closed, would have to be held whole, up to the end of the file. Only
its first line is given up instead, and reading goes on at the next one: memory stays bounded, and a stray quote costs
its own line rather than all that follow.
"""

from __future__ import annotations

import re
from array import array
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

# A record with its line end fits into a block: longer ones are refused, so a block is also what is held at most.
MAX_RECORD_BYTES = 1024 * 1024

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LINE_END = re.compile(rb"\r\n?|\n")
_FIELD = re.compile(r'(?:^|,)(?:"([^"]*(?:""[^"]*)*)"(?!"))?([^,]*)')
_LF, _CR, _QUOTE, _COMMA = b'\n\r",'
# By byte: whether a field begins after it, and whether it is a quote.
_BEGINS_FIELD = np.isin(np.arange(256), (_LF, _CR, _COMMA))
_IS_QUOTE = np.arange(256) == _QUOTE


class Source(Protocol):
    """Where the bytes come from: ``read`` returns fewer than it was asked for only at the end."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True)
class Position:
    """A place between two records of a file.

    Parameters
    ----------
    byte:
        How many bytes of the unpacked file stand before it.
    line:
        The line that begins there; the header is line 1.
    """

    byte: int
    line: int


START = Position(0, 1)


@dataclass(frozen=True, eq=False)
class Block:
    """Consecutive records, without the blank lines between them.

    Parameters
    ----------
    data:
        The records, each with its line end; the last one of a file is given one if it has none.
    lines:
        The line on which each record begins.
    ends:
        The offset in ``data`` after each record.
    """

    data: bytes
    lines: NDArray[np.int64]
    ends: NDArray[np.int64]

    def records(self, first: int, last: int) -> bytes:
        """The records from one index up to, and without, another."""
        return self.data[self.ends[first - 1] if first else 0 : self.ends[last - 1] if last else 0]

    def only(self, wanted: NDArray[np.bool_]) -> Block:
        """The records for which ``wanted`` is true."""
        run_edges = np.flatnonzero(np.diff(wanted, prepend=False, append=False))
        runs = np.concatenate(([0], self.ends))[run_edges].reshape(-1, 2).tolist()
        data = b"".join([self.data[start:end] for start, end in runs])
        return Block(data, self.lines[wanted], np.cumsum(np.diff(self.ends, prepend=0)[wanted]))


@dataclass(frozen=True)
class LongLine:
    """The first line of a record that is too long, or whose quote is never closed.

    Parameters
    ----------
    line:
        Its number.
    head:
        Its first bytes, at most MAX_RECORD_BYTES.
    size:
        How many bytes it has in all, with its line end.
    """

    line: int
    head: bytes
    size: int


class RecordScanner:
    """Reads records one block after the other.

    Parameters
    ----------
    source:
        The unpacked file, which stands at ``start``.
    start:
        A boundary between two records.
    """

    def __init__(self, source: Source, start: Position = START) -> None:
        self._source = source
        self._pending = b""
        self._is_at_end = False
        self.position = start
        if start == START:
            # Spreadsheets put a byte order mark first; it belongs to no field.
            self._fill()
            if self._pending.startswith(_BYTE_ORDER_MARK):
                self._take(len(_BYTE_ORDER_MARK), 0)

    def is_finished(self) -> bool:
        """Whether nothing is left to read."""
        self._fill()
        return not self._pending

    def next(self, stop: int | None = None) -> Block | LongLine | None:
        """Read on, at most to the first boundary at or after the byte ``stop``; None at the end of the file."""
        if self.is_finished():
            return None
        data = self._pending
        if self._is_at_end and not data.endswith((b"\n", b"\r")):
            data += b"\n"
        ends, lines_before_end = _record_ends(data)
        if stop is not None:
            size = int(np.searchsorted(ends, stop - self.position.byte)) + 1
            ends, lines_before_end = ends[:size], lines_before_end[:size]
        if not ends.size:
            return self._give_up_line()
        lines = self.position.line + np.concatenate(([0], lines_before_end[:-1]))
        data = data[: ends[-1]] + self._take(int(ends[-1]), int(lines_before_end[-1]))
        ends[-1] = len(data)
        block = Block(data, lines, ends)
        starts = np.concatenate(([0], ends[:-1]))
        is_blank = np.isin(np.frombuffer(data, np.uint8)[starts], (_LF, _CR))
        return block.only(~is_blank) if is_blank.any() else block

    def _fill(self) -> None:
        """Have as much pending as a block may hold, or all that is left."""
        missing = MAX_RECORD_BYTES - len(self._pending)
        if missing > 0 and not self._is_at_end:
            chunk = self._source.read(missing)
            self._is_at_end = len(chunk) < missing
            self._pending += chunk

    def _take(self, size: int, lines: int) -> bytes:
        """Move on by so many pending bytes and lines; returns the LF that completes a CRLF cut by the end of a read."""
        taken, self._pending = self._pending[:size], self._pending[size:]
        completion = b""
        if taken.endswith(b"\r") and not self._pending and not self._is_at_end:
            following = self._source.read(1)
            self._is_at_end = not following
            if following == b"\n":
                completion = following
            else:
                self._pending = following
        self.position = Position(self.position.byte + len(taken) + len(completion), self.position.line + lines)
        return completion

    def _give_up_line(self) -> LongLine:
        start, head = self.position, self._pending
        # A block without a line end has none up to its last byte: the line goes on, perhaps for gigabytes.
        while not (end := _LINE_END.search(self._pending)):
            self._take(len(self._pending), 0)
            if self.is_finished():
                break
        self._take(end.end() if end else 0, 1)
        size = self.position.byte - start.byte
        return LongLine(start.line, head[:size], size)


def split_fields(record: str) -> list[str]:
    """The fields of one record without its line end: for a header, where a parser of columns is no use yet."""
    return [(quoted or "").replace('""', '"') + rest for quoted, rest in _FIELD.findall(record)]


def _record_ends(data: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The offset after each whole record, and how many lines of the data end up to there."""
    text = np.frombuffer(data, np.uint8)
    is_line_end = text == _LF
    if b"\r" in data:
        is_lone = text == _CR
        is_lone[:-1] &= text[1:] != _LF
        is_line_end |= is_lone
    line_ends = np.flatnonzero(is_line_end) + 1
    numbers = np.arange(1, len(line_ends) + 1)
    if b'"' not in data:
        return line_ends, numbers
    opening, closing = _quoted_fields(text)
    is_outside = np.searchsorted(opening, line_ends) == np.searchsorted(closing, line_ends)
    return line_ends[is_outside], numbers[is_outside]


def _quoted_fields(text: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The offsets of the quotes that open and close a field; the last one may lack its end.

    In well-formed text every other quote opens, be it that it opens anew what the one right before it closed (``""``).
    Where one of them does not stand at the start of a field this is not so, and the quotes are gone through one by one.
    """
    quotes = np.flatnonzero(text == _QUOTE)
    before = text[quotes - 1]
    if quotes[0] == 0:
        before[0] = _LF
    if (_BEGINS_FIELD | _IS_QUOTE)[before[::2]].all():
        return quotes[::2], quotes[1::2]
    # Views and arrays, not lists: a block of nothing but quotes has a million.
    opening, closing = array("q"), array("q")
    is_open = False
    is_followed_by_quote = np.append(before[1:] == _QUOTE, False)
    places = zip(quotes.data, _BEGINS_FIELD[before].data, is_followed_by_quote.data, strict=True)
    for quote, can_open, is_followed in places:
        if not is_open:
            if can_open:
                opening.append(quote)
                is_open = True
        elif is_followed:
            next(places)
        else:
            closing.append(quote)
            is_open = False
    return np.array(opening, np.int64), np.array(closing, np.int64)
