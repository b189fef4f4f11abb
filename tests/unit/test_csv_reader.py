"""Tests of the CSV reader: it returns every row once, with its line number, for any content."""

from __future__ import annotations

import csv
import errno
import gzip
import hashlib
import io
import json
import os
import resource
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
from include.stream.reading.csv_reader import READER_SCHEMA, read_file
from include.stream.reading.raw_lines import raw_lines
from include.stream.reading.records import MAX_RECORD_BYTES, START, Position
from tests.support.csv_files import csv_text, valid_row

HEADER = ",".join(COLUMN_NAMES)
LIMIT = 64 * 1024 * 1024


def read(
    path: Path, start: Position = START, slice_bytes: int = LIMIT, max_bytes: int = LIMIT
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the rows of a slice of a file, in the order of their lines, and its footer."""
    batches = list(read_file(path, 7, start=start, slice_bytes=slice_bytes, max_bytes=max_bytes))
    rows = pa.Table.from_batches(batches, READER_SCHEMA).to_pylist()
    footer = rows.pop()
    assert footer["is_footer"]
    assert not any(row["is_footer"] for row in rows)
    footer |= json.loads(footer["detail"])
    assert footer["line"] == len(rows)
    return sorted(rows, key=lambda row: row["line"]), footer


def read_in_slices(path: Path, slice_bytes: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the rows of all slices of a file, and their footers."""
    rows: list[dict[str, Any]] = []
    footers: list[dict[str, Any]] = []
    start: Position | None = START
    while start:
        more, footer = read(path, start, slice_bytes)
        rows += more
        footers.append(footer)
        assert footer["start"] == {"byte": start.byte, "line": start.line}
        start = Position(**footer["end"]) if footer["end"] else None
        assert start is None or start.byte > footer["start"]["byte"]
    return rows, footers


def seen(row: dict[str, Any]) -> tuple[Any, ...]:
    """Return the line, the error and the values of a row, without the time of reading."""
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
def test_a_file_without_rows_is_valid(tmp_path: Path, content: bytes) -> None:
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


def test_unknown_columns_are_kept_unchanged_in_extra(tmp_path: Path) -> None:
    columns = ["note", *COLUMN_NAMES, "größe"]
    sent = [valid_row(note='say "hi",\nthere', größe="½"), valid_row(note=None, größe="\\N")]
    content = csv_text(sent, columns)
    rows, footer = read(write(tmp_path, content + content.splitlines()[-1].replace(",\\N", ',""') + "\n"))
    assert [json.loads(row["extra"]) for row in rows] == [
        {"note": 'say "hi",\nthere', "größe": "½"},
        {"note": None, "größe": "\\N"},
        {"note": None, "größe": None},
    ]
    assert footer["extra_columns"] == ["note", "größe"]
    assert read(write(tmp_path, csv_text([valid_row()])))[0][0]["extra"] is None


def test_many_unknown_columns_stay_within_batch_and_slice_limits(tmp_path: Path) -> None:
    names = [f"a_column_with_a_name_as_long_as_postgresql_allows_{number:05}" for number in range(980)]
    line = ",".join([csv_text([valid_row()]).splitlines()[1], *("" for _ in names)])
    path = write(tmp_path, ",".join([HEADER, *names]) + "\n" + (line + "\n") * 1_500)
    for batch in read_file(path, 7, start=START, slice_bytes=4 * MAX_RECORD_BYTES, max_bytes=LIMIT):
        assert batch.nbytes < 16 * MAX_RECORD_BYTES
    rows, footers = read_in_slices(path, 4 * MAX_RECORD_BYTES)
    assert len(footers) > 1
    assert [row["line"] for row in rows] == list(range(2, 1_502))


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (csv_text([valid_row()]).split("\n", 1)[1], "header_missing"),
        (csv_text([{"event_id": "x"}], ["event_id", "city"]), "header_column_missing"),
        (HEADER + ",city\n", "header_column_repeated"),
        (HEADER + ",,\n", "header_column_unnamed"),
        ("," + HEADER + "\n", "header_column_unnamed"),
        (HEADER.replace(",", ";") + "\n", "separator_not_comma"),
        (HEADER.replace(",", "\t") + "\r\n", "separator_not_comma"),
        ("sep=;\r\n" + HEADER.replace(",", ";") + "\r\n", "separator_line"),
        ("\ufeffsep=,\r\n" + HEADER + "\r\n", "separator_line"),
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
def test_a_file_with_an_unusable_header_is_a_fault(tmp_path: Path, content: str | bytes, fault: str) -> None:
    rows, footer = read(write(tmp_path, content))
    assert rows == []
    assert (footer["line"], footer["row_error"]) == (0, fault)


@pytest.mark.parametrize(
    ("first_line", "detail"),
    [
        (
            HEADER.replace(",", ";"),
            "the first line has 19 names of the contract's 19 columns, separated by a semicolon (';')",
        ),
        (
            '"' + HEADER.replace(",", '"\t"').title() + '"',
            "the first line has 19 names of the contract's 19 columns, separated by a tab ('\\t')",
        ),
        ("SEP=;", "the first line is 'sep=;'"),
        ('"sep=,"', "the first line is 'sep=,'"),
        (HEADER + ",,", "columns 20, 21 of 21 have no name"),
        (f",{HEADER}", "column 1 of 20 has no name"),
        (f"{HEADER},city,x,X ", "repeated: city, columns 21, 22, which the contract does not know"),
        (
            "019a2f6b-7c00-7a3e-8d51-6f0a8f3b2c11,Anna",
            "the first line has 2 fields, and none is the name of a column; the first one is a UUIDv7",
        ),
        (
            "Anna Meier",
            "the first line has 1 field, and none is the name of a column; the first one is a text of 10 characters",
        ),
        ('"' + HEADER, f"a quote in the first line, of {len(HEADER) + 2} bytes, is never closed"),
        ("Größe", "byte 3 of the first line, 0xF6, is not UTF-8"),
    ],
)
def test_a_header_fault_says_what_is_wrong_and_quotes_no_field(tmp_path: Path, first_line: str, detail: str) -> None:
    encoding = "latin-1" if first_line == "Größe" else "utf-8"
    _, footer = read(write(tmp_path, f"{first_line}\n".encode(encoding)))
    assert footer["fault_detail"] == detail


def test_a_link_pipe_or_folder_is_a_fault(tmp_path: Path) -> None:
    target = write(tmp_path, csv_text([valid_row()]), "target.csv")
    link, pipe, folder = tmp_path / "link.csv", tmp_path / "pipe.csv", tmp_path / "folder.csv"
    link.symlink_to(target)
    os.mkfifo(pipe)
    folder.mkdir()
    assert {read(path)[1]["row_error"] for path in (link, pipe, folder)} == {"not_a_regular_file"}
    assert read(tmp_path / "absent.csv")[1]["row_error"] == "unreadable"


def test_a_file_without_read_permission_is_a_fault_even_for_root(tmp_path: Path) -> None:
    path = write(tmp_path, csv_text([valid_row()]))
    path.chmod(0)
    rows, footer = read(path)
    assert (rows, footer["row_error"]) == ([], "unreadable")


@pytest.mark.parametrize(
    ("code", "is_fault_of_the_file"),
    [
        (errno.ENOENT, True),
        (errno.EACCES, True),
        (errno.EISDIR, True),
        (errno.ELOOP, True),
        (errno.ENAMETOOLONG, True),
        (errno.EIO, False),
        (errno.ESTALE, False),
        (errno.EROFS, False),
        (errno.EMFILE, False),
        (errno.ENFILE, False),
        (errno.ENOMEM, False),
        (errno.ENOSPC, False),
        (errno.EDQUOT, False),
        (errno.ETIMEDOUT, False),
        (errno.ENOTCONN, False),
        (errno.EHOSTDOWN, False),
        (errno.EAGAIN, False),
        (errno.ENOTDIR, False),
    ],
    ids=lambda value: errno.errorcode[value] if type(value) is int else "",
)
def test_a_machine_error_is_not_a_fault_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, is_fault_of_the_file: bool
) -> None:
    path = tmp_path / "whole.csv"
    path.write_text(csv_text([valid_row()]))

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "open", fail)
    if is_fault_of_the_file:
        assert read(path)[1]["row_error"] == "unreadable"
    else:
        with pytest.raises(PlatformError, match=rf"whole.csv cannot be read at the moment: \[Errno {code}\]"):
            read(path)


def test_too_many_open_files_is_not_a_fault_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "whole.csv"
    path.write_text(csv_text([valid_row()]))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    # From here on, the process cannot open another file.
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        with pytest.raises(PlatformError, match="Too many open files"):
            read(path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert read(path)[1]["row_error"] is None


def test_gzip_is_read_and_damaged_gzip_is_a_fault(tmp_path: Path) -> None:
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
        # The damage lies behind the first slice, and is found before any row of that slice is loaded.
        assert read(path, slice_bytes=1000)[1]["row_error"] == "gzip_damaged", name


def test_an_oversized_file_is_a_fault_compressed_or_not(tmp_path: Path) -> None:
    content = csv_text([valid_row() for _ in range(500)]).encode()
    limit = len(content) - 1
    plain, bomb = write(tmp_path, content), write(tmp_path, gzip.compress(content), "bomb.csv.gz")
    line = write(tmp_path, gzip.compress(content + b"x" * 5 * MAX_RECORD_BYTES), "line.csv.gz")
    for path, slice_bytes in [(plain, LIMIT), (bomb, LIMIT), (bomb, 1000), (line, LIMIT), (line, 1000)]:
        assert read(path, slice_bytes=slice_bytes, max_bytes=limit)[1]["row_error"] == "too_large", path.name
    assert read(plain, max_bytes=limit)[0] == []
    assert read(plain, max_bytes=limit + 1)[1]["row_error"] is None
    assert read(bomb, max_bytes=limit + 1)[1]["row_error"] is None


def test_data_appended_during_reading_is_ignored(tmp_path: Path) -> None:
    content = csv_text([valid_row() for _ in range(10)]).encode()
    path = write(tmp_path, content)
    batches = read_file(path, 7, start=START, slice_bytes=LIMIT, max_bytes=LIMIT)
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
def test_a_bad_row_is_rejected_with_its_reason_and_its_neighbors_are_accepted(
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


def test_a_quoted_empty_field_is_null_like_an_unquoted_one(tmp_path: Path) -> None:
    sent = [valid_row(city=None, coupon=None), valid_row(city='"', coupon=" "), valid_row()]
    columns = [*COLUMN_NAMES, "coupon"]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(sent)
    assert '""' in text.getvalue()
    quoted, _ = read(write(tmp_path, text.getvalue()))
    bare, _ = read(write(tmp_path, csv_text(sent, columns)))
    assert [seen(row) for row in quoted] == [seen(row) for row in bare]
    assert [row["city"] for row in quoted] == [None, '"', "Leipzig"]
    assert [json.loads(row["extra"]) for row in quoted] == [{"coupon": None}, {"coupon": " "}, {"coupon": None}]


def with_commas(lines: list[str], *, header: int, rows: int) -> str:
    """Return the text of a file with commas appended: ``header`` to its first line, ``rows`` to each other line."""
    first, *others = lines
    return "".join(f"{line}\n" for line in [first + "," * header, *(line + "," * rows for line in others)])


def test_a_comma_at_the_end_of_every_line_changes_nothing(tmp_path: Path) -> None:
    content = csv_text([valid_row(), valid_row(city=None)])
    plain, _ = read(write(tmp_path, content))
    rows, footer = read(write(tmp_path, with_commas(content.splitlines(), header=1, rows=1)))
    assert [seen(row) for row in rows] == [seen(row) for row in plain]
    assert footer["extra_columns"] == []
    assert [row["extra"] for row in rows] == [None, None]


def test_a_value_in_a_column_without_a_name_is_rejected(tmp_path: Path) -> None:
    first, *lines = csv_text([valid_row() for _ in range(3)]).splitlines()
    rows, _ = read(write(tmp_path, "\n".join([f"{first},", f"{lines[0]},", f"{lines[1]},secret", f'{lines[2]},""'])))
    assert [(row["line"], row["row_error"]) for row in rows] == [(2, None), (3, "row_ragged"), (4, None)]
    assert rows[1]["detail"] == "column 20 has no name, but this row has a value in it"
    assert rows[2]["detail"] == "last_line_unfinished"


def test_a_ragged_row_says_how_many_fields_it_has(tmp_path: Path) -> None:
    content = csv_text([valid_row(), valid_row()])
    rows, _ = read(write(tmp_path, with_commas(content.splitlines(), header=0, rows=1) + "x,y\n"))
    assert [(row["row_error"], row["detail"]) for row in rows] == [
        ("row_ragged", "20 fields, the header has 19"),
        ("row_ragged", "20 fields, the header has 19"),
        ("row_ragged", "2 fields, the header has 19"),
    ]


@pytest.mark.parametrize(
    ("field", "city"),
    [
        ('"Köln" Süd', None),
        ('"Kö"ln', None),
        ('""x', None),
        ('"a"""b', None),
        ('"a" "b"', None),
        ('"a""b"', 'a"b'),
        ('"a"', "a"),
        ('5" disk', '5" disk'),
        ('x"y"z', 'x"y"z'),
        (' "a"', ' "a"'),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", ""])
@pytest.mark.parametrize("after", [[], ["X", '"quoted, too"']], ids=["last", "not-last"])
def test_text_after_a_closing_quote_rejects_the_row(
    tmp_path: Path, field: str, city: str | None, end: str, after: list[str]
) -> None:
    """The parser would join the two pieces, which may be wrong, so the row is rejected; its neighbors are accepted."""
    stem = csv_text([valid_row(city="@")]).splitlines()[1].removesuffix("@")
    cities = ['"before ""it"""', field, *after]
    line_end = end or "\n"
    content = line_end.join([HEADER, *(stem + one for one in cities)]) + end
    rows, _ = read(write(tmp_path, content))
    assert [row["line"] for row in rows] == list(range(2, 2 + len(cities)))
    assert rows[0]["city"] == 'before "it"'
    assert [row["city"] for row in rows[2:]] == ["X", "quoted, too"][: len(after)]
    assert (rows[1]["city"], rows[1]["row_error"]) == (city, None if city else "row_misquoted")
    if city is None:
        assert rows[1]["detail"] == field


def test_a_last_line_without_a_line_end_is_marked(tmp_path: Path) -> None:
    content = csv_text([valid_row(), valid_row(city="Leip")])
    for text, expected in [
        (content, [None, None]),
        (content[:-1], [None, "last_line_unfinished"]),
        (content[:-1] + "\r", [None, None]),
        (content + "\n\n", [None, None]),
        (content.replace("\n", "\r\n")[:-2], [None, "last_line_unfinished"]),
        (content + "x,y", [None, None, "2 fields, the header has 19"]),
    ]:
        path = write(tmp_path, text)
        assert [row["detail"] for row in read(path)[0]] == expected, text[-20:]
        assert [row["detail"] for row in read_in_slices(path, 1)[0]] == expected, text[-20:]
    packed = write(tmp_path, gzip.compress(content[:-1].encode()), "cut.csv.gz")
    assert read(packed)[0][-1]["detail"] == "last_line_unfinished"
    assert read(write(tmp_path, HEADER))[0] == []


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), min_size=1, max_size=20)


@given(st.lists(st.one_of(texts, st.none()), min_size=1, max_size=30))
def test_any_text_survives_and_every_line_number_is_right(
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


# Rows of the right width with arbitrary text in the middle, and rows of arbitrary text.
fragments = st.lists(
    st.sampled_from([b'"', b'""', b",", b"\n", b"\r", b"\r\n", b"a", b"\xc3\xa9", b"\xe9", b"\0"])
).map(b"".join)
rows_of_any_kind = st.lists(st.one_of(fragments, fragments.map(lambda text: b"," * 9 + text + b"," * 9)), max_size=12)


@given(rows_of_any_kind, st.integers(1, 400), st.booleans())
@example([b'"x', b"a" * 30, b"\r"], 1, False)
def test_slices_of_any_size_give_the_same_rows_as_the_whole_file(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], slice_bytes: int, is_packed: bool
) -> None:
    content = HEADER.encode() + b"\n" + b"\n".join(lines)
    folder = tmp_path_factory.mktemp("parts")
    path = write(folder, gzip.compress(content), "file.csv.gz") if is_packed else write(folder, content)
    whole, footer = read(path)
    rows, footers = read_in_slices(path, slice_bytes)
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


def test_a_long_file_is_read_in_bounded_batches_without_losing_rows(tmp_path: Path) -> None:
    line = csv_text([valid_row()]).splitlines()[1]
    path = write(tmp_path, HEADER + "\n" + (line + "\n") * 60_000 + "cut,short\n" + line)
    batches = list(read_file(path, 7, start=START, slice_bytes=LIMIT, max_bytes=LIMIT))
    assert max(batch.nbytes for batch in batches) < 64 * 1024 * 1024
    numbers = sorted(number for batch in batches[:-1] for number in batch["line"].to_pylist())
    assert numbers == list(range(2, 60_004))


_PEAK_OF_READING = """
import resource, sys
from pathlib import Path
from include.stream.reading.csv_reader import read_file
from include.stream.reading.records import START

def read(path):
    batches = list(read_file(Path(path), 7, start=START, slice_bytes=1 << 40, max_bytes=1 << 40))
    return [error for batch in batches for error in batch["row_error"].to_pylist()]

read(sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
errors = read(sys.argv[2])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, *errors)
"""


@pytest.mark.slow
def test_a_line_of_300_megabytes_is_read_in_bounded_memory(tmp_path: Path) -> None:
    good = csv_text([valid_row()])
    small = write(tmp_path, good, "small.csv")
    huge = write(tmp_path, good, "huge.csv")
    with huge.open("ab") as file:
        for _ in range(300):
            file.write(b"x" * 1_000_000)
        file.write(b"\n" + good.splitlines()[1].encode())
    # Run in a separate process, since the peak of this one includes other tests.
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
