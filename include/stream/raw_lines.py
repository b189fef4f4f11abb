"""Fetches rows of a file as they stood in it, for the rejects.

Only rejected rows are fetched, after the fact: carrying the raw text of every row through Spark would double its work.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from include.stream.csv_reader import open_delivered

# Enough for any honest row; what is longer is cut, with its length.
MAX_RAW_CHARACTERS = 64 * 1024
_MAX_LINES_PER_ROW = 100


def raw_lines(path: Path, lines: Collection[int]) -> dict[int, str]:
    """Read the rows that begin on the given lines (1 is the header).

    Bytes that are not UTF-8, and NUL, which PostgreSQL cannot store, come back as ``\\xNN``.

    Returns
    -------
    dict
        Text by line; a line past the end of the file is absent.
    """
    wanted = set(lines)
    found: dict[int, str] = {}
    with open_delivered(path) as source:
        number = 0
        while len(found) < len(wanted):
            row = source.readline()
            if not row:
                break
            number += 1
            if number in wanted:
                start = number
                # An odd number of quotes leaves a field open: the row goes on on the next line.
                while row.count(b'"') % 2 and number - start < _MAX_LINES_PER_ROW:
                    more = source.readline()
                    if not more:
                        break
                    # The next line may be wanted in its own right when the quote was only a stray one.
                    if number + 1 in wanted:
                        found[number + 1] = _readable(more)
                    row += more
                    number += 1
                found[start] = _readable(row)
    return found


def _readable(row: bytes) -> str:
    text = row.rstrip(b"\r\n").decode("utf-8", "backslashreplace").replace("\0", "\\x00")
    if len(text) <= MAX_RAW_CHARACTERS:
        return text
    return f"{text[:MAX_RAW_CHARACTERS]}… ({len(text)} characters)"
