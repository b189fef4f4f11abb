"""Fetch the raw text of rejected rows from their file.

Rows are fetched only after they were rejected: carrying the raw text of every row through Spark would double its work.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np

from include.stream.reading.delivered import open_delivered
from include.stream.reading.records import START, LongLine, Position, RecordScanner

# More than any legitimate row has; a longer one is cut, and its length noted.
MAX_RAW_CHARACTERS = 64 * 1024


def raw_lines(path: Path, lines: Collection[int], start: Position = START) -> dict[int, str]:
    """Read the rows that begin on the given lines (1 is the header).

    Bytes that are not UTF-8, and NUL, which PostgreSQL cannot store, come back as ``\\xNN``.

    Parameters
    ----------
    path, lines:
        The file, and the wanted line numbers.
    start:
        Where the slice that contains them begins.

    Returns
    -------
    dict
        Text by line; a line on which no row begins is absent.
    """
    if not lines:
        return {}
    with open_delivered(path) as file:
        file.seek(start.byte)
        return {line: _readable(row, size) for line, row, size in _rows(RecordScanner(file, start), lines)}


def _rows(scanner: RecordScanner, lines: Collection[int]) -> Iterator[tuple[int, bytes, int]]:
    """Yield for each wanted row its line, its bytes (or the first of them), and its size."""
    wanted = np.array(sorted(lines), np.int64)
    while scanner.position.line <= wanted[-1] and (piece := scanner.next()):
        if isinstance(piece, LongLine):
            if piece.line in lines:
                yield piece.line, piece.head, piece.size
        else:
            for index in np.flatnonzero(np.isin(piece.lines, wanted)).tolist():
                row = piece.records(index, index + 1)
                yield int(piece.lines[index]), row, len(row)


def _readable(row: bytes, size: int) -> str:
    text = row.rstrip(b"\r\n").decode("utf-8", "backslashreplace").replace("\0", "\\x00")
    if len(text) <= MAX_RAW_CHARACTERS:
        return text
    return f"{text[:MAX_RAW_CHARACTERS]}… ({size:,} bytes)"
