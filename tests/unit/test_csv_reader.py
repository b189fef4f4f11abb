"""The reader of delivered files: every row comes out once, with its line, whatever the file holds."""

from __future__ import annotations

import errno
import gzip
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from include.contract import COLUMN_NAMES
from include.errors import PlatformError
from include.stream.csv_reader import READER_SCHEMA, read_file
from include.stream.raw_lines import raw_lines
from include.stream.records import MAX_RECORD_BYTES, START, Position
from tests.support.csv_files import csv_text, valid_row

HEADER = ",".join(COLUMN_NAMES)
LIMIT = 64 * 1024 * 1024


def read(
    path: Path, start: Position = START, part_bytes: int = LIMIT, max_bytes: int = LIMIT
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The rows of a part of a file in the order of their lines, and its footer."""
    batches = list(read_file(path, 7, start=start, part_bytes=part_bytes, max_bytes=max_bytes))
    rows = pa.Table.from_batches(batches, READER_SCHEMA).to_pylist()
    footer = rows.pop()
    assert footer["is_footer"]
    assert not any(row["is_footer"] for row in rows)
    footer |= json.loads(footer["detail"])
    assert footer["line"] == len(rows)
    return sorted(rows, key=lambda row: row["line"]), footer


def read_in_parts(path: Path, part_bytes: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The rows of all parts of a file, and their footers."""
    rows: list[dict[str, Any]] = []
    footers: list[dict[str, Any]] = []
    start: Position | None = START
    while start:
        more, footer = read(path, start, part_bytes)
        rows += more
        footers.append(footer)
        assert footer["start"] == {"byte": start.byte, "line": start.line}
        start = Position(**footer["end"]) if footer["end"] else None
        assert start is None or start.byte > footer["start"]["byte"]
    return rows, footers


def seen(row: dict[str, Any]) -> tuple[Any, ...]:
    """What a reader says of a row, without the time at which it said so."""
    return (row["line"], row["row_error"], row["extra"], *(row[name] for name in COLUMN_NAMES))


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
    assert json.loads(row["extra"]) == {"loyalty_points": "12"}


def test_unknown_columns_are_kept_aside_exactly(tmp_path: Path) -> None:
    columns = ["note", *COLUMN_NAMES, "größe"]
    sent = [valid_row(note='say "hi",\nthere', größe="½"), valid_row(note=None, größe="\\N")]
    content = csv_text(sent, columns)
    rows, footer = read(write(tmp_path, content + content.splitlines()[-1].replace(",\\N", ',""') + "\n"))
    assert [json.loads(row["extra"]) for row in rows] == [
        {"note": 'say "hi",\nthere', "größe": "½"},
        {"note": None, "größe": "\\N"},
        {"note": None, "größe": ""},
    ]
    assert footer["extra_columns"] == ["note", "größe"]
    assert read(write(tmp_path, csv_text([valid_row()])))[0][0]["extra"] is None


def test_many_unknown_columns_stay_within_batches_and_parts(tmp_path: Path) -> None:
    names = [f"a_column_with_a_name_as_long_as_postgresql_allows_{number:05}" for number in range(980)]
    line = ",".join([csv_text([valid_row()]).splitlines()[1], *("" for _ in names)])
    path = write(tmp_path, ",".join([HEADER, *names]) + "\n" + (line + "\n") * 1_500)
    for batch in read_file(path, 7, start=START, part_bytes=4 * MAX_RECORD_BYTES, max_bytes=LIMIT):
        assert batch.nbytes < 16 * MAX_RECORD_BYTES
    rows, footers = read_in_parts(path, 4 * MAX_RECORD_BYTES)
    assert len(footers) > 1
    assert [row["line"] for row in rows] == list(range(2, 1_502))


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (csv_text([valid_row()]).split("\n", 1)[1], "header_missing"),
        (csv_text([{"event_id": "x"}], ["event_id", "city"]), "header_column_missing"),
        (HEADER + ",city\n", "header_column_repeated"),
        (csv_text([valid_row()]).encode("utf-16"), "not_utf8"),
        (csv_text([valid_row()]).encode("utf-16-le"), "not_utf8"),
        (HEADER.replace("city", "Größe").encode("latin-1") + b"\n", "not_utf8"),
        ("\n" + csv_text([valid_row()]), "header_missing"),
        ('"' + csv_text([valid_row()]), "header_missing"),
        (csv_text([valid_row()], [*COLUMN_NAMES, *(f"c{number}" for number in range(20_000))]), "header_too_wide"),
        (HEADER + "," + "x" * 70_000 + "\n", "header_too_wide"),
        (HEADER + "," + "x" * (2 * MAX_RECORD_BYTES) + "\n", "header_too_wide"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 40 else "",
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


def test_a_file_that_nobody_may_read_is_a_fault_also_for_root(tmp_path: Path) -> None:
    path = write(tmp_path, csv_text([valid_row()]))
    path.chmod(0)
    rows, footer = read(path)
    assert (rows, footer["row_error"]) == ([], "unreadable")


def test_storage_that_is_away_is_no_fault_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "whole.csv"
    path.write_text(csv_text([valid_row()]))

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(PlatformError, match=r"the storage of .*whole.csv does not answer: .*[Ss]tale"):
        read(path)


def test_gzip_is_read_and_a_damaged_one_is_a_fault(tmp_path: Path) -> None:
    content = csv_text([valid_row() for _ in range(500)]).encode()
    whole = gzip.compress(content)
    concatenated = gzip.compress(content[:999]) + gzip.compress(content[999:])
    for name, good in {"whole": whole, "concatenated": concatenated, "padded": concatenated + b"\0" * 99}.items():
        rows, footer = read(write(tmp_path, good, f"{name}.csv.gz"))
        assert (len(rows), footer["row_error"]) == (500, None), name
        assert footer["size_bytes"] == len(good)
        assert footer["digest"] == hashlib.sha256(good).hexdigest()
    for name, damaged in {
        "cut": whole[: len(whole) // 2],
        "trailer": whole[:-4],
        "crc": whole[:-8] + b"\0\0\0\0" + whole[-4:],
        "plain": content,
        "followed": whole + b"more",
    }.items():
        path = write(tmp_path, damaged, f"{name}.csv.gz")
        assert read(path)[1]["row_error"] == "gzip_damaged", name
        # The damage lies behind the first part, and is known before a row of it is taken.
        assert read(path, part_bytes=1000)[1]["row_error"] == "gzip_damaged", name


def test_a_file_over_the_limit_is_a_fault_packed_or_not(tmp_path: Path) -> None:
    content = csv_text([valid_row() for _ in range(500)]).encode()
    limit = len(content) - 1
    plain, bomb = write(tmp_path, content), write(tmp_path, gzip.compress(content), "bomb.csv.gz")
    line = write(tmp_path, gzip.compress(content + b"x" * 5 * MAX_RECORD_BYTES), "line.csv.gz")
    for path, part_bytes in [(plain, LIMIT), (bomb, LIMIT), (bomb, 1000), (line, LIMIT), (line, 1000)]:
        assert read(path, part_bytes=part_bytes, max_bytes=limit)[1]["row_error"] == "too_large", path.name
    assert read(plain, max_bytes=limit)[0] == []
    assert read(plain, max_bytes=limit + 1)[1]["row_error"] is None
    assert read(bomb, max_bytes=limit + 1)[1]["row_error"] is None


def test_what_is_appended_while_a_file_is_read_is_left_out(tmp_path: Path) -> None:
    content = csv_text([valid_row() for _ in range(10)]).encode()
    path = write(tmp_path, content)
    batches = read_file(path, 7, start=START, part_bytes=LIMIT, max_bytes=LIMIT)
    first = next(batches)
    with path.open("ab") as file:
        file.write(content)
    footer = json.loads([first, *batches][-1]["detail"][0].as_py())
    assert first.num_rows == 10
    assert footer["size_bytes"] == len(content) == path.stat().st_size // 2


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
    assert (footer["size_bytes"], footer["digest"]) == (
        path.stat().st_size,
        hashlib.sha256(path.read_bytes()).hexdigest(),
    )


@pytest.mark.parametrize(
    ("city", "error"),
    [
        (b"K\xc3\xb6ln", None),
        (b"\\N", None),
        (b"\\.", None),
        (b"NULL", None),
        (b"K\xf6ln", "row_not_utf8"),
        (b"\xc0\xaf", "row_not_utf8"),
        (b"\xed\xa0\x80", "row_not_utf8"),
        (b"\xf4\x90\x80\x80", "row_not_utf8"),
        (b"K\0ln", "row_has_nul"),
        (b"x,y", "row_ragged"),
        (b"x" * MAX_RECORD_BYTES, "row_too_long"),
        (b"x" * 5 * MAX_RECORD_BYTES, "row_too_long"),
        (b'"' + (b"x" * 999 + b"\n") * 1_100 + b'"', "row_too_long"),
        (b'"x', "row_too_long"),
    ],
    ids=lambda value: repr(value[:9]) if isinstance(value, bytes) else str(value),
)
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
def test_a_bad_row_is_rejected_for_what_it_is_and_its_neighbours_are_taken(
    tmp_path: Path, city: bytes, error: str | None, line_end: bytes
) -> None:
    good = csv_text([valid_row(city="X")]).encode().splitlines()[1]
    bad = good.removesuffix(b"X") + city
    rows, footer = read(write(tmp_path, line_end.join([HEADER.encode(), good, bad, good])))
    assert footer["row_error"] is None
    assert [(row["line"], row["row_error"]) for row in rows[:2]] == [(2, None), (3, error)]
    assert (rows[-1]["row_error"], rows[-1]["city"]) == (None, "X")
    if error is None:
        assert rows[1]["city"] == city.decode()


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


# Rows of the right width with any text in the middle, and any text for whole rows.
fragments = st.lists(
    st.sampled_from([b'"', b'""', b",", b"\n", b"\r", b"\r\n", b"a", b"\xc3\xa9", b"\xe9", b"\0"])
).map(b"".join)
rows_of_any_kind = st.lists(st.one_of(fragments, fragments.map(lambda text: b"," * 9 + text + b"," * 9)), max_size=12)


@given(rows_of_any_kind, st.integers(1, 400), st.booleans())
@example([b'"x', b"a" * 30, b"\r"], 1, False)
def test_parts_of_any_size_give_the_same_rows_as_the_whole(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], part_bytes: int, is_packed: bool
) -> None:
    content = HEADER.encode() + b"\n" + b"\n".join(lines)
    folder = tmp_path_factory.mktemp("parts")
    path = write(folder, gzip.compress(content), "file.csv.gz") if is_packed else write(folder, content)
    whole, footer = read(path)
    rows, footers = read_in_parts(path, part_bytes)
    assert [seen(row) for row in rows] == [seen(row) for row in whole]
    assert (footer["row_error"], footer["end"]) == (None, None)
    assert [footer["digest"] for footer in footers[1:]] == [None] * (len(footers) - 1)
    raw = raw_lines(path, [row["line"] for row in whole])
    assert list(raw) == [row["line"] for row in whole]
    for each in footers:
        start = Position(**each["start"])
        end = each["end"]["line"] if each["end"] else sys.maxsize
        part = [row["line"] for row in rows if start.line <= row["line"] < end]
        assert raw_lines(path, part, start) == {line: raw[line] for line in part}


def test_a_long_file_comes_in_bounded_batches_without_a_row_lost(tmp_path: Path) -> None:
    line = csv_text([valid_row()]).splitlines()[1]
    path = write(tmp_path, HEADER + "\n" + (line + "\n") * 60_000 + "cut,short\n" + line)
    batches = list(read_file(path, 7, start=START, part_bytes=LIMIT, max_bytes=LIMIT))
    assert max(batch.nbytes for batch in batches) < 64 * 1024 * 1024
    numbers = sorted(number for batch in batches[:-1] for number in batch["line"].to_pylist())
    assert numbers == list(range(2, 60_004))


_PEAK_OF_READING = """
import resource, sys
from pathlib import Path
from include.stream.csv_reader import read_file
from include.stream.records import START

def read(path):
    batches = list(read_file(Path(path), 7, start=START, part_bytes=1 << 40, max_bytes=1 << 40))
    return [error for batch in batches for error in batch["row_error"].to_pylist()]

read(sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
errors = read(sys.argv[2])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, *errors)
"""


def test_a_line_of_300_megabytes_needs_no_memory(tmp_path: Path) -> None:
    good = csv_text([valid_row()])
    small = write(tmp_path, good, "small.csv")
    huge = write(tmp_path, good, "huge.csv")
    with huge.open("ab") as file:
        for _ in range(300):
            file.write(b"x" * 1_000_000)
        file.write(b"\n" + good.splitlines()[1].encode())
    # In a process of its own: the peak of this one says nothing.
    found = subprocess.run(
        [sys.executable, "-c", _PEAK_OF_READING, str(small), str(huge)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    ).stdout.split()
    assert found[1:] == ["None", "row_too_long", "None", "None"]
    assert int(found[0]) < 32 * 1024
    assert raw_lines(huge, [3])[3] == f"{'x' * 65536}… (300,000,001 bytes)"
