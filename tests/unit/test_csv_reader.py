"""The reader of delivered files: every row comes out once, with its line, whatever the file holds."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.contract import COLUMN_NAMES
from include.stream.csv_reader import READER_SCHEMA, read_file
from include.stream.raw_lines import raw_lines
from tests.support.csv_files import csv_text, valid_row

HEADER = ",".join(COLUMN_NAMES)
LIMIT = 64 * 1024 * 1024


def read(path: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The rows of a file in the order of their lines, and its footer."""
    table = pa.Table.from_batches(list(read_file(path, 7, LIMIT)), READER_SCHEMA)
    rows = table.to_pylist()
    footer = rows.pop()
    assert footer["is_footer"]
    assert not any(row["is_footer"] for row in rows)
    return sorted(rows, key=lambda row: row["line"]), footer | json.loads(footer["detail"])


def write(folder: Path, content: str | bytes, name: str = "file.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_a_row_keeps_its_fields_and_its_line(tmp_path: Path) -> None:
    sent = [valid_row(product_name='Größe, 5" x 3"'), valid_row(city=None)]
    rows, footer = read(write(tmp_path, csv_text(sent)))
    assert [{name: row[name] for name in COLUMN_NAMES} for row in rows] == sent
    assert [row["line"] for row in rows] == [2, 3]
    assert (footer["line"], footer["row_error"]) == (2, None)


@pytest.mark.parametrize("content", [b"", HEADER.encode(), HEADER.encode() + b"\n"], ids=["empty", "bare", "header"])
def test_a_file_without_rows_is_no_fault(tmp_path: Path, content: bytes) -> None:
    rows, footer = read(write(tmp_path, content))
    assert rows == []
    assert (footer["line"], footer["row_error"]) == (0, None)


def test_columns_are_matched_by_name(tmp_path: Path) -> None:
    sent = valid_row()
    reordered = [*reversed(COLUMN_NAMES), "loyalty_points"]
    header, line = csv_text([{**sent, "loyalty_points": "12"}], reordered).splitlines()
    content = "\ufeff" + header.upper().replace(",", " , ") + "\r\n" + line + "\r\n"
    (row,), footer = read(write(tmp_path, content))
    assert {name: row[name] for name in COLUMN_NAMES} == sent
    assert footer["extra_columns"] == ["loyalty_points"]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (csv_text([valid_row()]).split("\n", 1)[1], "header_missing"),
        (csv_text([{"event_id": "x"}], ["event_id", "city"]), "header_column_missing"),
        (HEADER + ",city\n", "header_column_repeated"),
        (csv_text([valid_row()]).encode("utf-16"), "not_utf8"),
    ],
)
def test_a_file_that_cannot_be_understood_is_a_fault(tmp_path: Path, content: str | bytes, fault: str) -> None:
    rows, footer = read(write(tmp_path, content))
    assert rows == []
    assert (footer["line"], footer["row_error"]) == (0, fault)


def test_what_is_not_a_regular_file_is_a_fault(tmp_path: Path) -> None:
    target = write(tmp_path, csv_text([valid_row()]), "target.csv")
    link, pipe, folder = tmp_path / "link.csv", tmp_path / "pipe.csv", tmp_path / "folder.csv"
    link.symlink_to(target)
    os.mkfifo(pipe)
    folder.mkdir()
    assert {read(path)[1]["row_error"] for path in (link, pipe, folder)} == {"not_a_regular_file"}
    assert read(tmp_path / "absent.csv")[1]["row_error"] == "unreadable"


def test_gzip_is_read_and_a_damaged_one_is_a_fault(tmp_path: Path) -> None:
    content = csv_text([valid_row() for _ in range(500)]).encode()
    whole = gzip.compress(content)
    rows, footer = read(write(tmp_path, whole, "whole.csv.gz"))
    assert (len(rows), footer["row_error"]) == (500, None)
    rows, footer = read(
        write(tmp_path, gzip.compress(content[:999]) + gzip.compress(content[999:]), "concatenated.csv.gz")
    )
    assert len(rows) == 500
    for name, damaged in {
        "cut": whole[: len(whole) // 2],
        "crc": whole[:-8] + b"\0\0\0\0" + whole[-4:],
        "plain": content,
    }.items():
        assert read(write(tmp_path, damaged, f"{name}.csv.gz"))[1]["row_error"] == "gzip_damaged", name


def test_a_file_over_the_limit_is_a_fault_packed_or_not(tmp_path: Path) -> None:
    line = csv_text([valid_row()]).splitlines()[1] + "\n"
    content = HEADER + "\n" + line * (LIMIT // len(line) + 1)
    assert read(write(tmp_path, content))[1]["row_error"] == "too_large"
    bomb = gzip.compress(content.encode(), compresslevel=1)
    assert len(bomb) < LIMIT
    batches = list(read_file(write(tmp_path, bomb, "bomb.csv.gz"), 7, LIMIT))
    assert batches[-1]["row_error"].to_pylist() == ["too_large"]


def test_rows_that_cannot_be_parsed_keep_their_line_and_their_raw_text(tmp_path: Path) -> None:
    good = csv_text([valid_row()]).splitlines()[1]
    multiline = csv_text([valid_row(product_name="two\nlines")]).split("\n", 1)[1].rstrip("\n")
    lines = [HEADER, good, "ragged,row", "", multiline, good.replace("Leipzig", "K\0ln"), good]
    latin = good.replace("Leipzig", "Köln").encode("latin-1")
    path = write(tmp_path, "\n".join(lines).encode() + b"\n" + latin + b"\nlast,ragged")
    rows, footer = read(path)
    assert [(row["line"], row["row_error"]) for row in rows] == [
        (2, None),
        (3, "row_ragged"),
        (5, None),
        (7, "row_has_nul"),
        (8, None),
        (9, "row_not_utf8"),
        (10, "row_ragged"),
    ]
    assert footer["line"] == 7
    raw = raw_lines(path, [3, 5, 7, 9, 10])
    assert raw[3] == "ragged,row"
    assert raw[5] == multiline
    assert raw[7] == good.replace("Leipzig", "K\\x00ln")
    assert raw[9] == good.replace("Leipzig", "K\\xf6ln")
    assert raw[10] == "last,ragged"


def test_an_empty_text_is_not_an_absent_one(tmp_path: Path) -> None:
    absent, empty = csv_text([valid_row(city=None)]), csv_text([valid_row(city="X")]).replace(",X\n", ',""\n')
    assert read(write(tmp_path, absent))[0][0]["city"] is None
    assert read(write(tmp_path, empty))[0][0]["city"] == ""


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), min_size=1, max_size=20)


@given(st.lists(st.one_of(texts, st.none()), min_size=1, max_size=30))
def test_any_text_survives_and_every_line_is_right(
    tmp_path_factory: pytest.TempPathFactory, names: list[str | None]
) -> None:
    sent = [valid_row(product_name=name) for name in names]
    path = write(tmp_path_factory.mktemp("reader"), csv_text(sent))
    rows, footer = read(path)
    assert [row["product_name"] for row in rows] == names
    expected, line = [], 2
    for name in names:
        expected.append(line)
        line += 1 + (name or "").count("\n")
    assert [row["line"] for row in rows] == expected
    assert footer["line"] == len(names)


def test_a_long_file_comes_in_bounded_batches_without_a_row_lost(tmp_path: Path) -> None:
    line = csv_text([valid_row()]).splitlines()[1]
    path = write(tmp_path, HEADER + "\n" + (line + "\n") * 60_000 + "cut,short\n" + line)
    batches = list(read_file(path, 7, LIMIT))
    assert max(batch.nbytes for batch in batches) < 64 * 1024 * 1024
    numbers = sorted(number for batch in batches[:-1] for number in batch["line"].to_pylist())
    assert numbers == list(range(2, 60_004))
