"""Create inputs that are too large for a short test: rendered once, then numbered by numpy."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tests.support.csv_files import csv_text, valid_row

MIB = 1024 * 1024
ROWS_PER_BLOCK = 20_000
_HEADER, _ROW = csv_text([valid_row()]).encode().splitlines(keepends=True)
# The last digits of an id are random, so numbering them gives unique and valid ids.
_DIGITS = slice(24, 36)
_HEXADECIMAL = np.frombuffer(b"0123456789abcdef", np.uint8)


def blocks(size_bytes: int) -> Iterator[bytes]:
    """Yield a file of about that size in pieces, header first; no two rows have the same id."""
    yield _HEADER
    block = np.tile(np.frombuffer(_ROW, np.uint8), (ROWS_PER_BLOCK, 1))
    shifts = np.arange(44, -4, -4, dtype=np.int64)
    for first in range(0, size_bytes // len(_ROW), ROWS_PER_BLOCK):
        numbers = np.arange(first, first + ROWS_PER_BLOCK, dtype=np.int64)
        block[:, _DIGITS] = _HEXADECIMAL[numbers[:, None] >> shifts & 0xF]
        yield block.tobytes()


def tiny_files(landing: Path, files: int) -> int:
    """Write that many files of one row each, and return the number of rows."""
    made = 0
    for block in blocks(files * len(_ROW)):
        for row in block.splitlines(keepends=True) if block != _HEADER else ():
            if made == files:
                break
            hidden = landing / f".{made}.csv"
            hidden.write_bytes(_HEADER + row)
            hidden.rename(landing / f"tiny-{made}.csv")
            made += 1
    return made


def large_file(landing: Path, size_bytes: int) -> int:
    """Write one file of about that size, and return the number of rows."""
    rows = -1
    hidden = landing / ".large.csv"
    with hidden.open("wb") as target:
        for block in blocks(size_bytes):
            target.write(block)
            rows += block.count(b"\n")
    hidden.rename(landing / "large.csv")
    return rows


def gzip_bomb(landing: Path, size_bytes: int) -> int:
    """Write a gzip file of good rows that is larger than that when unpacked, and return 0: none may be stored."""
    member = gzip.compress(_ROW * (16 * MIB // len(_ROW)))
    hidden = landing / ".bomb.csv.gz"
    with hidden.open("wb") as target:
        target.write(gzip.compress(_HEADER))
        for _ in range(size_bytes // (16 * MIB - len(_ROW)) + 1):
            target.write(member)
    hidden.rename(landing / "bomb.csv.gz")
    return 0


def large_fields(landing: Path, size_bytes: int) -> int:
    """Write a file with a field of that size between good rows, and one whose field is quoted; return the good rows."""
    first, second, third, fourth, fifth, sixth = list(blocks(6 * len(_ROW)))[1].splitlines()[:6]
    for name, (before, corrupted, after), quote in (
        ("bare", (first, second, third), b""),
        ("quoted", (fourth, fifth, sixth), b'"'),
    ):
        hidden = landing / f".{name}.csv"
        start, _, end = corrupted.partition(b"Trail Running Shoes")
        with hidden.open("wb") as target:
            target.write(_HEADER + before + b"\n" + start + quote)
            for _ in range(size_bytes // MIB):
                target.write(b"x" * MIB)
            target.write(quote + end + b"\n" + after + b"\n")
        hidden.rename(landing / f"field-{name}.csv")
    return 4
