"""Cut a delivered file into records, in the same way for every reader.

A record ends at a line end (``\\n``, ``\\r\\n`` or a lone ``\\r``) outside quotes. A quote opens only at the start of a
field; inside quotes ``""`` is a quote, and text after the closing quote is ordinary text, as in Arrow's CSV parser. A
record with a field that goes on after its closing quote is marked as misquoted, since its meaning is ambiguous. The
records after a position depend on nothing before it, so a file can be read from any boundary between two records.

A record that is too long, or whose quote is never closed, would have to be held in memory up to the end of the file.
Instead, only its first line is given up, and reading continues at the next one. Memory stays bounded, and a stray quote
costs its own line rather than all lines after it.
"""

from __future__ import annotations

import re
from array import array
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

# A record with its line end must fit into a block. Longer ones are refused, so this is also the most held in memory.
MAX_RECORD_BYTES = 1024 * 1024

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LINE_END = re.compile(rb"\r\n?|\n")
_FIELD = re.compile(r'(?:^|,)(?:"([^"]*(?:""[^"]*)*)"(?!"))?([^,]*)')
_LF, _CR, _QUOTE, _COMMA = b'\n\r",'
# Indexed by byte: whether a field begins after it, and whether it is a quote.
_BEGINS_FIELD = np.isin(np.arange(256), (_LF, _CR, _COMMA))
_IS_QUOTE = np.arange(256) == _QUOTE
_MAY_FOLLOW_QUOTE = _BEGINS_FIELD | _IS_QUOTE
_NO_OFFSETS = np.empty(0, np.int64)


class Source(Protocol):
    """The source of the bytes; ``read`` returns fewer than it was asked for only at the end."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True)
class Position:
    """A place between two records of a file.

    Parameters
    ----------
    byte:
        Number of bytes of the unpacked file before it.
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
        The records, each with its line end; one is added to the last record of a file if it has none.
    lines:
        The line on which each record begins.
    ends:
        The offset in ``data`` after each record.
    is_misquoted:
        Whether a quoted field of the record goes on after its closing quote.
    is_unfinished:
        Whether the last record had no line end because the file ends there.
    """

    data: bytes
    lines: NDArray[np.int64]
    ends: NDArray[np.int64]
    is_misquoted: NDArray[np.bool_]
    is_unfinished: bool

    def records(self, first: int, last: int) -> bytes:
        """Return the records from index ``first`` up to, but not including, ``last``."""
        return self.data[self.ends[first - 1] if first else 0 : self.ends[last - 1] if last else 0]

    def only(self, wanted: NDArray[np.bool_]) -> Block:
        """Return the block of those records for which ``wanted`` is true."""
        run_edges = np.flatnonzero(np.diff(wanted, prepend=False, append=False))
        runs = np.concatenate(([0], self.ends))[run_edges].reshape(-1, 2).tolist()
        data = b"".join([self.data[start:end] for start, end in runs])
        return Block(
            data,
            self.lines[wanted],
            np.cumsum(np.diff(self.ends, prepend=0)[wanted]),
            self.is_misquoted[wanted],
            self.is_unfinished and bool(wanted[-1]),
        )


@dataclass(frozen=True)
class LongLine:
    """The first line of a record that is too long, or whose quote is never closed.

    Parameters
    ----------
    line:
        Its line number.
    head:
        Its first bytes, at most MAX_RECORD_BYTES.
    size:
        Its total length in bytes, with its line end.
    """

    line: int
    head: bytes
    size: int


class RecordScanner:
    """Read records one block after the other.

    Parameters
    ----------
    source:
        The unpacked file, positioned at ``start``.
    start:
        A boundary between two records.
    """

    def __init__(self, source: Source, start: Position = START) -> None:
        self._source = source
        self._pending = b""
        self._is_at_end = False
        self.position = start
        if start == START:
            # Spreadsheets write a byte order mark first; it belongs to no field.
            self._fill()
            if self._pending.startswith(_BYTE_ORDER_MARK):
                self._take(len(_BYTE_ORDER_MARK), 0)

    def is_finished(self) -> bool:
        """Return whether nothing is left to read."""
        self._fill()
        return not self._pending

    def next(self, stop: int | None = None) -> Block | LongLine | None:
        """Read on, at most to the first boundary at or after the byte ``stop``; return None at the end of the file."""
        if self.is_finished():
            return None
        data = self._pending
        lacks_line_end = self._is_at_end and not data.endswith((b"\n", b"\r"))
        if lacks_line_end:
            data += b"\n"
        ends, lines_before_end, strays = _record_ends(data)
        if stop is not None:
            size = int(np.searchsorted(ends, stop - self.position.byte)) + 1
            ends, lines_before_end = ends[:size], lines_before_end[:size]
        if not ends.size:
            return self._give_up_line()
        lines = self.position.line + np.concatenate(([0], lines_before_end[:-1]))
        is_misquoted = np.zeros(len(ends), bool)
        is_misquoted[np.searchsorted(ends, strays[strays < ends[-1]], side="right")] = True
        is_unfinished = lacks_line_end and int(ends[-1]) == len(data)
        data = data[: ends[-1]] + self._take(int(ends[-1]), int(lines_before_end[-1]))
        ends[-1] = len(data)
        block = Block(data, lines, ends, is_misquoted, is_unfinished)
        starts = np.concatenate(([0], ends[:-1]))
        is_blank = np.isin(np.frombuffer(data, np.uint8)[starts], (_LF, _CR))
        return block.only(~is_blank) if is_blank.any() else block

    def _fill(self) -> None:
        """Fill the pending bytes up to the size of a block, or with all that is left."""
        missing = MAX_RECORD_BYTES - len(self._pending)
        if missing > 0 and not self._is_at_end:
            chunk = self._source.read(missing)
            self._is_at_end = len(chunk) < missing
            self._pending += chunk

    def _take(self, size: int, lines: int) -> bytes:
        """Advance by so many pending bytes and lines; return the LF of a CRLF that the end of a read cut in two."""
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
        # The whole block has no line end, so the line goes on, perhaps for gigabytes.
        while not (end := _LINE_END.search(self._pending)):
            self._take(len(self._pending), 0)
            if self.is_finished():
                break
        self._take(end.end() if end else 0, 1)
        size = self.position.byte - start.byte
        return LongLine(start.line, head[:size], size)


def split_fields(record: str) -> list[str]:
    """Return the fields of one record without its line end: for a header, before a CSV parser can be set up."""
    return [(quoted or "").replace('""', '"') + rest for quoted, rest in _FIELD.findall(record)]


def misquoted_field(record: str) -> str:
    """Return the first field of a record that goes on after its closing quote, as written; empty when none does."""
    fields = (f'"{found[1]}"{found[2]}' for found in _FIELD.finditer(record) if found[1] is not None and found[2])
    return next(fields, "")


def _record_ends(data: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Find the ends of the complete records.

    Returns
    -------
    tuple
        The offset after each complete record, the number of lines up to there, and the offsets of the closing quotes
        after which a field goes on.
    """
    text = np.frombuffer(data, np.uint8)
    is_line_end = text == _LF
    if b"\r" in data:
        is_lone = text == _CR
        is_lone[:-1] &= text[1:] != _LF
        is_line_end |= is_lone
    line_ends = np.flatnonzero(is_line_end) + 1
    numbers = np.arange(1, len(line_ends) + 1)
    if b'"' not in data:
        return line_ends, numbers, _NO_OFFSETS
    opening, closing = _quoted_fields(text)
    is_outside = np.searchsorted(opening, line_ends) == np.searchsorted(closing, line_ends)
    # A quote that is the last byte ends no complete record; the next block shows whether its field goes on.
    followed = closing[:-1] if closing.size and closing[-1] + 1 == len(text) else closing
    strays = followed[~_MAY_FOLLOW_QUOTE[text[followed + 1]]]
    return line_ends[is_outside], numbers[is_outside], strays


def _quoted_fields(text: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the offsets of the quotes that open and close a field; the last field may lack its closing quote.

    In well-formed text every other quote opens a field; in an escaped quote (``""``) the second one reopens the field
    that the first one closed. If one of these quotes is not at the start of a field, the text is not well-formed, and
    the quotes are examined one by one.
    """
    quotes = np.flatnonzero(text == _QUOTE)
    before = text[quotes - 1]
    if quotes[0] == 0:
        before[0] = _LF
    if _MAY_FOLLOW_QUOTE[before[::2]].all():
        return quotes[::2], quotes[1::2]
    # Views and arrays, not lists, since a block that consists only of quotes has a million of them.
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
