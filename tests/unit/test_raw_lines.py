"""Tests of the raw text of rejected rows, which is each row as it stands in the file."""

from __future__ import annotations

from pathlib import Path

from include.stream.reading.raw_lines import MAX_RAW_CHARACTERS, raw_lines
from include.stream.reading.records import MAX_RECORD_BYTES, Position


def write(folder: Path, content: bytes) -> Path:
    path = folder / "file.csv"
    path.write_bytes(content)
    return path


def test_a_row_is_returned_as_it_stands_in_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, b'a,b\r\nragged\r\n\r\n"two\nlines",x\r\nK\0ln,K\xf6ln\rlast')
    assert raw_lines(path, [2, 4, 6, 7]) == {2: "ragged", 4: '"two\nlines",x', 6: "K\\x00ln,K\\xf6ln", 7: "last"}


def test_a_line_on_which_no_row_begins_is_absent(tmp_path: Path) -> None:
    path = write(tmp_path, b'a,b\n\n"two\nlines",x\nlast,y\n')
    assert raw_lines(path, [2, 3, 4, 5, 99]) == {3: '"two\nlines",x', 5: "last,y"}
    assert raw_lines(path, []) == {}


def test_lines_are_counted_from_the_start_of_the_slice(tmp_path: Path) -> None:
    path = write(tmp_path, b"a,b\nfirst\nsecond\n")
    assert raw_lines(path, [1001], Position(10, 1001)) == {1001: "second"}


def test_an_unclosed_quote_affects_only_its_line(tmp_path: Path) -> None:
    path = write(tmp_path, b'a,b\nx,"open\ny,z\n')
    assert raw_lines(path, [2, 3]) == {2: 'x,"open', 3: "y,z"}


def test_a_long_row_is_truncated_and_its_length_is_given(tmp_path: Path) -> None:
    path = write(tmp_path, b"a,b\n" + b"x" * 99_999 + b"\n" + b"y" * 2 * MAX_RECORD_BYTES + b"\nz\n")
    cut = MAX_RAW_CHARACTERS
    assert raw_lines(path, [2, 3, 4]) == {
        2: f"{'x' * cut}… (100,000 bytes)",
        3: f"{'y' * cut}… (2,097,153 bytes)",
        4: "z",
    }
