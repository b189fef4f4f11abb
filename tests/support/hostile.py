"""Inputs that a landing folder must survive: what each is, and what must become of it.

A case is one line of a table; it makes parcels, which say themselves what is to be found in the database after they
were delivered. ``tests/spark/test_hostile_inputs.py`` delivers them all to one running stream and compares.
"""

from __future__ import annotations

import gzip
import itertools
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any

from include.contract import COLUMN_NAMES, COLUMNS
from tests.support.csv_files import csv_text, uuid7, valid_row
from tests.support.rows import at

_numbers = itertools.count(1)

MIB = 1024 * 1024
# What the stream of these cases is run with: small enough that its limits are met.
PART_BYTES = MIB
MAX_FILE_BYTES = 128 * MIB

Row = dict[str, str | None]
"""The fields of an event as its file has them; None is an empty field."""


Placing = Callable[[Path, "Parcel"], Callable[[], None] | None]
"""Puts a parcel into the landing folder; what it returns finishes the writing, later."""

# Ways into the landing folder ----------------------------------------------------------------------------------------


def by_rename(folder: Path, parcel: Parcel, *, mode: int = 0o644, modified_at: float | None = None) -> None:
    """As a good sender does."""
    hidden = folder / f".{os.getpid()}.part"
    hidden.write_bytes(parcel.content)
    hidden.chmod(mode)
    if modified_at is not None:
        os.utime(hidden, (modified_at, modified_at))
    hidden.rename(folder / parcel.name)


def by_hard_link(folder: Path, parcel: Parcel) -> Callable[[], None]:
    """By rename, with a second name elsewhere: what is returned appends a row through that one."""
    hidden = folder / f".{parcel.name}"
    hidden.write_bytes(parcel.content)
    elsewhere = folder.with_name(f"{folder.name}-{parcel.name}")
    elsewhere.hardlink_to(hidden)
    hidden.rename(folder / parcel.name)

    def append() -> None:
        with elsewhere.open("a", encoding="utf-8") as writer:
            writer.write(f"{line_of(valid_row())}\n")

    return append


def as_symlink(folder: Path, parcel: Parcel) -> None:
    """A link to a good file elsewhere."""
    target = folder.with_name(f"{folder.name}-elsewhere.csv")
    target.write_bytes(parcel.content)
    (folder / parcel.name).symlink_to(target)


def as_fifo(folder: Path, parcel: Parcel) -> None:
    """A pipe that nobody writes: opening it the usual way would wait for ever."""
    os.mkfifo(folder / parcel.name)


def as_directory(folder: Path, parcel: Parcel) -> None:
    """A folder with the file in it."""
    (folder / parcel.name).mkdir()
    (folder / parcel.name / "inside.csv").write_bytes(parcel.content)


def in_halves(folder: Path, parcel: Parcel) -> Callable[[], None]:
    """Write the first half under the final name and keep the file open; what is returned writes the rest."""
    writer = (folder / parcel.name).open("wb")
    middle = len(parcel.content) // 2
    writer.write(parcel.content[:middle])
    writer.flush()

    def finish() -> None:
        writer.write(parcel.content[middle:])
        writer.close()

    return finish


def renamed_too_early(folder: Path, parcel: Parcel) -> Callable[[], None]:
    """As ``in_halves``, but renamed into place while it is half-written."""
    finish = in_halves(folder, replace(parcel, name=f".{parcel.name}"))
    (folder / f".{parcel.name}").rename(folder / parcel.name)
    return finish


class Verdict(Enum):
    """The outcome that an input must have."""

    OK = "taken"
    ROW = "row rejected"
    FILE = "file quarantined"
    ALARM = "alarm"
    KEPT_ASIDE = "taken, the rest kept aside"
    IGNORED = "ignored until whole"
    ONE_ROW = "one row, the others counted"


class Wave(Enum):
    """When a parcel is delivered."""

    FIRST = 1
    """Before the stream starts."""
    SECOND = 2
    """When the stream has settled all of the first wave, in further batches."""
    HELD_UP = 3
    """While no batch can commit; its writing is finished between the reading and the commit."""


@dataclass(frozen=True)
class Reject:
    """A row that must be in ``shop.rejects``; ``raw`` None leaves its text unchecked."""

    line: int
    reasons: tuple[str, ...]
    raw: str | None = None


@dataclass(frozen=True)
class Parcel:
    """One entry of the landing folder.

    Parameters
    ----------
    content, name:
        Of the file.
    stored:
        The events that must be stored from it, field for field; a field of a column that the contract does not know
        must be in ``extra``.
    rejects, duplicates, conflicts:
        Its rejected rows, the number of its duplicates, and the columns in which each differing one differs.
    fault:
        For which it must be quarantined; no row of it is taken then.
    alert:
        A part of the title of the alert that must name it.
    least_parts:
        Batches that it must have been loaded in.
    wave:
        When it is delivered.
    placing:
        How it gets into the landing folder.
    """

    content: bytes = b""
    name: str = ""
    stored: Sequence[Row] = ()
    rejects: Sequence[Reject] = ()
    duplicates: int = 0
    conflicts: Sequence[tuple[str, ...]] = ()
    fault: str | None = None
    alert: str | None = None
    least_parts: int = 1
    wave: Wave = Wave.FIRST
    placing: Placing = by_rename

    @property
    def stored_name(self) -> str:
        """Its name as ``shop.files`` has it: bytes that are not UTF-8 are escaped."""
        return self.name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


@dataclass(frozen=True)
class Case:
    """One kind of hostile input: what it is, the outcome that it must have, and a maker of its parcels."""

    what: str
    verdict: Verdict
    make: Callable[[], Parcel | list[Parcel]]

    def parcels(self) -> list[Parcel]:
        """Its parcels, made anew; those without a name are named after the case."""
        made = self.make()
        slug = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in self.what)[:60]
        return [
            parcel if parcel.name else replace(parcel, name=f"{slug}-{next(_numbers)}.csv")
            for parcel in (made if isinstance(made, list) else [made])
        ]


# Contents ------------------------------------------------------------------------------------------------------------

HEADER = csv_text([]).encode()


def line_of(row: Row) -> str:
    """The row as the line of a file, without its end."""
    return csv_text([row]).split("\n", 1)[1].removesuffix("\n")


def taken(*rows: Row, **changes: Any) -> Parcel:
    """An ordinary file, all of whose rows must be stored; ``changes`` are those of the parcel."""
    return replace(Parcel(csv_text(rows).encode(), stored=rows), **changes)


def good_rows(count: int = 3) -> list[Row]:
    """Valid rows, no two the same."""
    return [valid_row() for _ in range(count)]


def with_fields(*changes: Mapping[str, str | None]) -> Parcel:
    """A file with a row for each set of changed fields, which must be stored exactly so."""
    return taken(*(valid_row(**one) for one in changes))


def with_line(line: bytes, *reasons: str, raw: str | None = None) -> Parcel:
    """A file with this line between two good ones, which must be rejected for these reasons."""
    before, after = good_rows(2)
    content = HEADER + line_of(before).encode() + b"\n" + line + b"\n" + line_of(after).encode() + b"\n"
    return Parcel(content, stored=[before, after], rejects=[Reject(3, reasons, raw)])


def with_field(reasons: str | Sequence[str], **changes: str | None) -> Parcel:
    """A file with a row that has these fields between two good ones; it must be rejected, raw text and all reasons."""
    line = line_of(valid_row(**changes))
    return with_line(line.encode(), *((reasons,) if isinstance(reasons, str) else reasons), raw=line)


def with_bytes(spoilt: bytes, reason: str, raw: str) -> Parcel:
    """A file with a row that holds these bytes between two good ones."""
    line = line_of(valid_row(product_name="Caf@"))
    return with_line(line.encode().replace(b"@", spoilt), reason, raw=line.replace("@", raw))


def at_fault(fault: str, content: bytes, **changes: Any) -> Parcel:
    """A file that must be quarantined whole."""
    return replace(Parcel(content, fault=fault), **changes)


def packed(fault: str, spoil: Callable[[bytes], bytes]) -> Parcel:
    """A gzip file of many good rows, spoilt."""
    return at_fault(fault, spoil(gzip.compress(csv_text(good_rows(500)).encode())), name=f"{spoil.__name__}.csv.gz")


def truncated(content: bytes) -> bytes:
    """Without its last fifth."""
    return content[: len(content) * 4 // 5]


def bad_checksum(content: bytes) -> bytes:
    """With another CRC-32 in the trailer (RFC 1952, section 2.3.1)."""
    return content[:-8] + bytes([content[-8] ^ 0xFF]) + content[-7:]


def header_with(columns: Iterable[str]) -> bytes:
    """A file with these columns and one row."""
    row = valid_row()
    names = list(columns)
    return csv_text([{name: row.get(name, "x") for name in names}], names).encode()


# Parcels that take more than a line ----------------------------------------------------------------------------------


def reordered() -> Parcel:
    rows = good_rows()
    return Parcel(csv_text(rows, reversed(COLUMN_NAMES)).encode(), stored=rows)


def extra_column() -> Parcel:
    rows = [valid_row(coupon="SPRING \"10\"; 'x'"), valid_row(coupon=None), valid_row(coupon="é\u202e")]
    return Parcel(csv_text(rows, [*COLUMN_NAMES, "coupon"]).encode(), stored=rows)


def drifted_header() -> Parcel:
    rows = good_rows()
    names = ",".join(f" {name.upper()}\t" if number % 2 else name.title() for number, name in enumerate(COLUMN_NAMES))
    return Parcel(csv_text(rows).replace(",".join(COLUMN_NAMES), names, 1).encode(), stored=rows)


def repeated_column() -> Parcel:
    lines = csv_text(good_rows()).splitlines()
    return at_fault("header_column_repeated", "".join(f"{line},city\n" for line in lines).encode())


def bomb() -> Parcel:
    """Two thousand times smaller packed than unpacked: good rows first, then the limit is passed."""
    rows = csv_text(good_rows()).encode()
    blank = b"\n" * MIB
    packed_blank = gzip.compress(blank)
    return at_fault("too_large", gzip.compress(rows) + packed_blank * (MAX_FILE_BYTES // MIB + 1), name="bomb.csv.gz")


def concatenated() -> Parcel:
    rows = good_rows(4)
    head, *lines = csv_text(rows).encode().splitlines(keepends=True)
    # The second member begins within a row.
    first, second = head + lines[0] + lines[1][:40], lines[1][40:] + lines[2] + lines[3]
    return Parcel(gzip.compress(first) + gzip.compress(second), name="concatenated.csv.gz", stored=rows)


def unclosed_quote_within(rows_behind: int) -> Parcel:
    before, *after = good_rows(1 + rows_behind)
    broken = line_of(valid_row(product_name="@")).replace("@", '"open')
    lines = [line_of(before), broken, *map(line_of, after)]
    return Parcel(
        HEADER + "\n".join(lines).encode() + b"\n",
        stored=[before, *after],
        rejects=[Reject(3, ("row_too_long",), broken)],
    )


def unclosed_quote_at_end() -> Parcel:
    rows = good_rows(2)
    broken = line_of(valid_row(product_name="@")).replace("@", '"open')
    return Parcel(
        csv_text(rows).encode() + broken.encode(), stored=rows, rejects=[Reject(4, ("row_too_long",), broken)]
    )


def large_field() -> Parcel:
    line = line_of(valid_row(product_name="@")).encode().replace(b"@", b"x" * (100 * 1000 * 1000))
    return with_line(line, "row_too_long")


def large_quoted_field() -> Parcel:
    """Closed, but ten times longer than any row may be."""
    line = line_of(valid_row(product_name="@")).encode()
    return with_line(line.replace(b"@", b'"' + b"x" * (10 * MIB) + b'"'), "row_too_long")


def ragged() -> Parcel:
    rows = good_rows(2)
    short, long = line_of(valid_row()).rpartition(",")[0], line_of(valid_row()) + ",more"
    return Parcel(
        csv_text(rows).encode() + f"{short}\n{long}\nx\n".encode(),
        stored=rows,
        rejects=[Reject(line, ("row_ragged",), raw) for line, raw in ((4, short), (5, long), (6, "x"))],
    )


def empty_and_absent() -> Parcel:
    """``""`` is an empty text, nothing is NULL, and ``""" "`` is a text of one quote." ""
    texts = {"@": '""', "@@": "", "@@@": '""""'}
    rows = [valid_row(city=city) for city in texts]
    content = csv_text(rows)
    for mark in sorted(texts, reverse=True):
        content = content.replace(mark, texts[mark])
    return Parcel(
        content.encode(), stored=[{**row, "city": city} for row, city in zip(rows, ("", None, '"'), strict=True)]
    )


def end_of_copy_in_fields() -> Parcel:
    r"""``\.`` ends COPY's data: alone in a field, and alone on a line inside one."""
    return with_fields({"product_name": r"\."}, {"product_name": "a\n\\.\nb"}, {})


SQL = "'; DROP TABLE shop.events; --"


def sql_in_every_text() -> Parcel:
    free = [column.name for column in COLUMNS if column.postgres_type == "text" and not column.values]
    return with_fields(dict.fromkeys(set(free) - {"country"}, SQL), {})


def sql_in_every_field() -> Parcel:
    unknown = [f"{column.name}_unknown" for column in COLUMNS if column.values]
    invalid = [f"{name}_invalid" for name in ("event_id", "event_time", "unit_price", "quantity", "country")]
    return with_field([*unknown, *invalid], **dict.fromkeys(COLUMN_NAMES, SQL))


def distinct_ids() -> Parcel:
    """Ids that look the same: Latin and Cyrillic, right-to-left, zero-width, composed and decomposed."""
    alike = ["Pa", "P\u0430", "\u202ePa", "P\u200ba", "P\u200da", "\ufeffPa", "P\u00e1", "Pa\u0301", "Pa ", " Pa", "pa"]
    return with_fields(*({"user_id": one, "session_id": one, "order_id": one, "product_id": one} for one in alike))


def duplicate_within_a_file() -> Parcel:
    first, other = good_rows(2)
    return Parcel(csv_text([first, other, first, first]).encode(), stored=[first, other], duplicates=2)


def duplicate_in_other_files(*, wave: Wave) -> list[Parcel]:
    (row,) = good_rows(1)
    return [taken(row), Parcel(csv_text([row]).encode(), duplicates=1, wave=wave)]


def duplicate_of_another_day() -> list[Parcel]:
    """The id is of one day, the times of the two events are of others; the first one wins."""
    instant = at("2026-03-01 23:59:59")
    row = valid_row(event_id=uuid7(instant), event_time=instant.isoformat())
    later = {**row, "event_time": "2026-03-02T00:00:01+00:00"}
    return [
        taken(row),
        Parcel(csv_text([later]).encode(), duplicates=1, conflicts=[("event_time",)], wave=Wave.SECOND),
    ]


def duplicate_that_differs() -> list[Parcel]:
    (row,) = good_rows(1)
    other = {**row, "brand": "Other", "unit_price": "1.00"}
    return [
        Parcel(csv_text([row, other]).encode(), stored=[row], duplicates=1, conflicts=[("brand", "unit_price")]),
        Parcel(csv_text([{**row, "city": None}, row]).encode(), duplicates=2, conflicts=[("city",)], wave=Wave.SECOND),
    ]


def same_file_again(*, is_same_name: bool) -> list[Parcel]:
    parcel = taken(*good_rows(), name="again.csv" if is_same_name else "first-name.csv")
    name = parcel.name if is_same_name else "second-name.csv"
    return [parcel, replace(parcel, name=name, stored=(), duplicates=3, wave=Wave.SECOND)]


def other_content_under_the_same_name() -> list[Parcel]:
    parcel = taken(*good_rows(), name="reused.csv")
    return [
        parcel,
        taken(*good_rows(), name="reused.csv", wave=Wave.SECOND, alert="under the same name, with other content"),
    ]


def named(name: str) -> Parcel:
    return taken(*good_rows(), name=name)


def modified_at(timestamp: float) -> Parcel:
    return taken(*good_rows(), placing=partial(by_rename, modified_at=timestamp))


def dated_far_ahead() -> list[Parcel]:
    return [modified_at(at("2099-01-01 00:00").timestamp()), taken(*good_rows(), wave=Wave.SECOND)]


def many_tiny_files() -> list[Parcel]:
    return [taken(*good_rows(1)) for _ in range(1000)]


def file_of_many_parts() -> Parcel:
    return taken(*good_rows(4 * PART_BYTES // 190), least_parts=4)


def appended_to() -> Parcel:
    return taken(
        *good_rows(),
        name="appended-to.csv",
        alert="changed after pick-up",
        wave=Wave.HELD_UP,
        placing=by_hard_link,
    )


# The table -----------------------------------------------------------------------------------------------------------

OK, ROW, FILE, ALARM, ONE_ROW = Verdict.OK, Verdict.ROW, Verdict.FILE, Verdict.ALARM, Verdict.ONE_ROW
NON_FINITE_AND_CO = {
    "1e400": "unit_price_invalid",
    "NaN": "unit_price_invalid",
    "Infinity": "unit_price_invalid",
    "-0": "unit_price_not_positive",
    "1." + "123456789" * 3 + "123": "unit_price_invalid",
    "9223372036854775808": "unit_price_invalid",
    "-5.00": "unit_price_not_positive",
}
QUANTITIES = ("9223372036854775808", "-3", "2.0", "1e3", "NaN")
TIMES = {
    "2026-02-30T12:00:00Z": ("the 30th of February", "event_time_invalid"),
    "0000-01-01T00:00:00Z": ("the year 0", "event_time_invalid"),
    "10000-01-01T00:00:00Z": ("the year 10000", "event_time_invalid"),
    "2026-11-22T09:30:00": ("a time without offset", "event_time_invalid"),
    "2026-11-22T25:00:00Z": ("hour 25", "event_time_invalid"),
    "1791030000": ("Unix seconds", "event_time_invalid"),
}
NAMES = {
    "a newline": "new\nline.csv",
    "quotes": "sing'le and dou\"ble.csv",
    "`%2F` and `..`": "a%2F..%2F..%2Fetc%2Fpasswd.csv",
    "`'; DROP`": "'; DROP TABLE shop.files; --.csv",
    "a backslash, a tab, `$(…)`": "back\\slash\t$(reboot)`reboot`.csv",
    "255 bytes": "n" * 251 + ".csv",
    "bytes that are not UTF-8": os.fsdecode(b"caf\xe9.csv"),
}

CASES: tuple[Case, ...] = (
    Case("empty file", OK, Parcel),
    Case("header only", OK, lambda: Parcel(HEADER)),
    Case("header only, without a line end", OK, lambda: Parcel(HEADER.rstrip())),
    Case("no header", FILE, lambda: at_fault("header_missing", csv_text(good_rows()).encode().split(b"\n", 1)[1])),
    Case("reordered columns", OK, reordered),
    Case("missing column", FILE, lambda: at_fault("header_column_missing", header_with(COLUMN_NAMES[:-2]))),
    Case("unknown extra column", Verdict.KEPT_ASIDE, extra_column),
    Case("duplicate column in the header", FILE, repeated_column),
    Case("case and space drift in the header", OK, drifted_header),
    Case("UTF-8 byte order mark", OK, lambda: _prefixed(b"\xef\xbb\xbf")),
    Case("UTF-16, little end first", FILE, lambda: at_fault("not_utf8", csv_text(good_rows()).encode("utf-16"))),
    Case("UTF-16, big end first", FILE, lambda: at_fault("not_utf8", csv_text(good_rows()).encode("utf-16-be"))),
    Case("Latin-1 bytes", ROW, lambda: with_bytes(b"\xe9", "row_not_utf8", r"\xe9")),
    Case("overlong UTF-8", ROW, lambda: with_bytes(b"\xc0\xaf", "row_not_utf8", r"\xc0\xaf")),
    Case("surrogate in UTF-8", ROW, lambda: with_bytes(b"\xed\xa0\x80", "row_not_utf8", r"\xed\xa0\x80")),
    Case("NUL byte", ROW, lambda: with_bytes(b"\0", "row_has_nul", r"\x00")),
    Case("a true U+FFFD", OK, lambda: with_fields({"product_name": "Caf\ufffd"})),
    Case("truncated gzip", FILE, lambda: packed("gzip_damaged", truncated)),
    Case("gzip with a bad CRC", FILE, lambda: packed("gzip_damaged", bad_checksum)),
    Case("gzip bomb: 130 kB packed, 135 MB unpacked, limit 128 MiB", FILE, bomb),
    Case("concatenated gzip", OK, concatenated),
    Case(
        "plain text named .gz", FILE, lambda: at_fault("gzip_damaged", csv_text(good_rows()).encode(), name="p.csv.gz")
    ),
    Case("half-written file", Verdict.IGNORED, lambda: taken(*good_rows(), placing=in_halves)),
    Case("file renamed while half-written", Verdict.IGNORED, lambda: taken(*good_rows(), placing=renamed_too_early)),
    Case("file appended to after pick-up", ALARM, appended_to),
    Case("modification time in 2099, then later files", OK, dated_far_ahead),
    Case("modification time 30 days ago", OK, lambda: modified_at(time.time() - 30 * 86_400)),
    Case(
        "symbolic link",
        FILE,
        lambda: at_fault("not_a_regular_file", csv_text(good_rows()).encode(), placing=as_symlink),
    ),
    Case("FIFO", FILE, lambda: at_fault("not_a_regular_file", b"", placing=as_fifo)),
    Case("directory named .csv", FILE, lambda: at_fault("not_a_regular_file", HEADER, placing=as_directory)),
    *(Case(f"name with {what}", OK, partial(named, name)) for what, name in NAMES.items()),
    Case(
        "unreadable (mode 0000)",
        ALARM,
        lambda: at_fault("unreadable", HEADER, alert="unreadable", placing=partial(by_rename, mode=0)),
    ),
    Case("unclosed quote, three rows behind it", ROW, lambda: unclosed_quote_within(3)),
    Case("unclosed quote, 2 MB of rows behind it", ROW, lambda: unclosed_quote_within(2 * MIB // 190)),
    Case("unclosed quote in the last row", ROW, unclosed_quote_at_end),
    Case(
        "newline inside quotes", OK, lambda: with_fields({"product_name": 'two\nlines, "quoted"'}, {}, {"city": "\n"})
    ),
    Case("CRLF line ends", OK, lambda: _with_line_ends("\r\n")),
    Case("CR line ends", OK, lambda: _with_line_ends("\r")),
    Case("a field of 100 MB", ROW, large_field),
    Case("a quoted field of 10 MiB", ROW, large_quoted_field),
    Case(
        "20,000 columns",
        FILE,
        lambda: at_fault("header_too_wide", header_with([*COLUMN_NAMES, *map(str, range(20_000))])),
    ),
    Case("ragged rows", ROW, ragged),
    Case(
        r"literal `\N` and `NULL`",
        OK,
        lambda: with_fields({"city": r"\N"}, {"city": "NULL"}, {"brand": r"\N", "city": None}),
    ),
    Case('literal `""`', OK, empty_and_absent),
    Case(r"a lone `\.` in a field, and on a line within one", OK, end_of_copy_in_fields),
    Case(r"a lone `\.` on a line", ROW, lambda: with_line(rb"\.", "row_ragged", raw=r"\.")),
    Case("`=cmd|' /C calc'!A0`", OK, lambda: with_fields({"product_name": "=cmd|' /C calc'!A0", "city": "@SUM(1)"})),
    *(
        Case(f"price `{text}`", ROW, partial(with_field, reason, unit_price=text))
        for text, reason in NON_FINITE_AND_CO.items()
    ),
    Case(
        "prices at the ends of the range",
        OK,
        lambda: with_fields({"unit_price": "0.01"}, {"unit_price": "9999999999.99"}),
    ),
    *(Case(f"quantity `{text}`", ROW, partial(with_field, "quantity_invalid", quantity=text)) for text in QUANTITIES),
    *(
        Case(f"{what}: `{text}`", ROW, partial(with_field, reasons, event_time=text))
        for text, (what, *reasons) in TIMES.items()
    ),
    Case("times with offsets", OK, lambda: with_fields(*({"event_time": text} for text in _offset_times()))),
    Case("duplicate id within a file", ONE_ROW, duplicate_within_a_file),
    Case("duplicate id in the files of a batch", ONE_ROW, lambda: duplicate_in_other_files(wave=Wave.FIRST)),
    Case("duplicate id in a later batch", ONE_ROW, lambda: duplicate_in_other_files(wave=Wave.SECOND)),
    Case("duplicate id of another day", ONE_ROW, duplicate_of_another_day),
    Case("duplicate id, the events differ", ONE_ROW, duplicate_that_differs),
    Case("a file again, under the same name", ONE_ROW, lambda: same_file_again(is_same_name=True)),
    Case("a file again, under another name", ONE_ROW, lambda: same_file_again(is_same_name=False)),
    Case("other content under the same name", ALARM, other_content_under_the_same_name),
    Case("SQL in every free text", OK, sql_in_every_text),
    Case("SQL in every field", ROW, sql_in_every_field),
    Case("right-to-left, zero-width and un-normalised ids", OK, distinct_ids),
    Case("1,000 tiny files", OK, many_tiny_files),
    Case("a file larger than three parts", OK, file_of_many_parts),
)


def _prefixed(mark: bytes) -> Parcel:
    parcel = taken(*good_rows())
    return replace(parcel, content=mark + parcel.content)


def _with_line_ends(end: str) -> Parcel:
    parcel = taken(*good_rows())
    return replace(parcel, content=parcel.content.replace(b"\n", end.encode()))


def _offset_times() -> list[str]:
    return ["2026-11-22T09:30:00.125Z", "2026-11-22 23:59:59.999999+14:00", "2026-11-22T00:00:00-09:30"]
