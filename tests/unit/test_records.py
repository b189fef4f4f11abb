"""Tests of the record scanner against a byte-by-byte reference and against Python's csv module."""

from __future__ import annotations

import csv
import io
import tracemalloc

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from include.stream.reading import records
from include.stream.reading.records import START, LongLine, Position, RecordScanner, misquoted_field, split_fields

# Short sequences of structural characters, in which every combination occurs.
hostile = st.lists(st.sampled_from([b'"', b'""', b",", b"\n", b"\r", b"\r\n", b"a", b"bcd", b"\xc3\xa9", b"\0"])).map(
    b"".join
)


def scan(data: bytes, start: Position = START) -> list[tuple[int, bytes, bool]]:
    """Return the line, the bytes without line end, and whether it is a record, of each piece that a scanner finds."""
    source = io.BytesIO(data)
    source.seek(start.byte)
    scanner = RecordScanner(source, start)
    found = []
    while piece := scanner.next():
        if isinstance(piece, LongLine):
            found.append((piece.line, piece.head.rstrip(b"\r\n"), False))
        else:
            for index, line in enumerate(piece.lines.tolist()):
                found.append((line, without_line_end(piece.records(index, index + 1)), True))
    assert scanner.position.byte == len(data)
    return found


def without_line_end(record: bytes) -> bytes:
    assert record.endswith((b"\n", b"\r"))
    return record.removesuffix(b"\n").removesuffix(b"\r") if record.endswith(b"\r\n") else record[:-1]


def line_end_at(data: bytes, at: int) -> int:
    """Return the length of the line end at this position; 0 for none."""
    return 2 if data[at : at + 2] == b"\r\n" else int(data[at : at + 1] in (b"\n", b"\r"))


def expected(data: bytes, limit: int) -> list[tuple[int, bytes, bool]]:
    """Cut records by the rules, byte by byte."""
    found = []
    start, line = 0, 1
    while start < len(data):
        at, lines, state = start, 0, "field start"
        while at < len(data):
            end = line_end_at(data, at)
            if end and state != "quoted":
                break
            if state == "quoted":
                if data[at : at + 2] == b'""':
                    at += 1
                elif data[at : at + 1] == b'"':
                    state = "text"
                lines += bool(end)
                at += max(end - 1, 0)
            elif data[at : at + 1] == b",":
                state = "field start"
            else:
                state = "quoted" if state == "field start" and data[at : at + 1] == b'"' else "text"
            at += 1
        if state == "quoted" or at - start >= limit:
            at, lines = start, 0
            while at < len(data) and not line_end_at(data, at):
                at += 1
            found.append((line, data[start:at][:limit], False))
        elif at > start:
            found.append((line, data[start:at], True))
        start, line = at + line_end_at(data, at), line + lines + 1
    return found


@given(hostile, st.integers(2, 40))
@example(b'a,"x\r\ny"\r\nz\r', 8)
@example(b"abc\r\n" * 3, 4)
@example(b'"a\nb\n"c', 40)
def test_records_are_cut_by_the_rules_wherever_a_block_ends(data: bytes, limit: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "MAX_RECORD_BYTES", limit)
        assert scan(data) == expected(data, limit)


def goes_on_behind_a_quote(record: bytes) -> bool:
    """Return whether a quoted field of a record continues after its closing quote, read byte by byte."""
    state, at = "field start", 0
    while at < len(record):
        byte = record[at : at + 1]
        if state == "quoted":
            if record[at : at + 2] == b'""':
                at += 1
            elif byte == b'"':
                state = "closed"
        elif byte == b",":
            state = "field start"
        elif state == "closed":
            return True
        else:
            state = "quoted" if state == "field start" and byte == b'"' else "text"
        at += 1
    return False


@given(hostile, st.integers(2, 40))
@example(b'"a"b,c\n"d"\n', 40)
@example(b'"a","b"', 3)
def test_misquoted_records_are_marked_wherever_a_block_ends(data: bytes, limit: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "MAX_RECORD_BYTES", limit)
        scanner = RecordScanner(io.BytesIO(data))
        while piece := scanner.next():
            if isinstance(piece, LongLine):
                continue
            for index, is_misquoted in enumerate(piece.is_misquoted.tolist()):
                record = without_line_end(piece.records(index, index + 1))
                assert is_misquoted == goes_on_behind_a_quote(record), record
                shown = misquoted_field(record.decode())
                assert shown in record.decode()
                assert bool(shown) == is_misquoted
            assert piece.is_unfinished == (scanner.is_finished() and not data.endswith((b"\n", b"\r")))


@given(hostile, st.integers(0, 200), st.integers(2, 40))
def test_scanning_can_resume_at_every_boundary(data: bytes, stop: int, limit: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "MAX_RECORD_BYTES", limit)
        scanner = RecordScanner(io.BytesIO(data))
        taken: list[int] = []
        while scanner.position.byte < stop and (piece := scanner.next(stop)):
            taken += [piece.line] if isinstance(piece, LongLine) else piece.lines.tolist()
        rest = scan(data, scanner.position) if scanner.position != START else scan(data)
        assert taken + [line for line, _, _ in rest] == [line for line, _, _ in scan(data)]
        assert scanner.position.byte >= min(stop, len(data))


@given(st.text('ab," \n', max_size=60))
def test_fields_match_the_csv_module(text: str) -> None:
    found = scan(text.encode())
    assume(all(is_record for _, _, is_record in found))
    rows = [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    assert [split_fields(record.decode()) for _, record, _ in found] == rows


def test_a_byte_order_mark_is_no_part_of_the_first_record() -> None:
    assert scan(b'\xef\xbb\xbf"a\nb",c\nd') == [(1, b'"a\nb",c', True), (3, b"d", True)]
    assert scan(b"\xef\xbb\xbf") == []


class Repeated:
    """A source of ``size`` equal bytes that never holds more of them than one read returns."""

    def __init__(self, byte: bytes, size: int, rest: bytes) -> None:
        self.byte, self.left, self.rest = byte, size, io.BytesIO(rest)

    def read(self, size: int, /) -> bytes:
        taken = min(size, self.left)
        self.left -= taken
        return self.byte * taken + self.rest.read(size - taken)


@pytest.mark.parametrize("byte", [b"x", b'"', b",", b"\n"], ids=["text", "quotes", "commas", "blank lines"])
def test_memory_is_bounded_by_the_block_not_by_the_file(byte: bytes) -> None:
    size = 40 * records.MAX_RECORD_BYTES
    tracemalloc.start()
    try:
        scanner = RecordScanner(Repeated(byte, size, b'\nlast,"one"\n'))
        lines: list[int] = []
        while piece := scanner.next():
            lines += [piece.line] if isinstance(piece, LongLine) else piece.lines.tolist()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert scanner.position.byte == size + len(b'\nlast,"one"\n')
    assert lines == ([size + 2] if byte == b"\n" else [1, 2])
    assert peak < 64 * 1024 * 1024
