"""Define inputs that a landing folder must survive, and the outcome of each.

A case is one line of a table. It makes deliveries, which state what the database must contain afterwards.
``tests/spark/test_hostile_inputs.py`` delivers all of them to one running stream and compares.
"""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any

from include.contract import COLUMN_NAMES, COLUMNS
from tests.support.csv_files import csv_text, uuid7, valid_row
from tests.support.rows import at

_numbers = itertools.count(1)

MIB = 1024 * 1024
# The settings of the stream for these cases, small enough that its limits are reached.
PART_BYTES = MIB
MAX_FILE_BYTES = 128 * MIB

Row = dict[str, str | None]
"""The fields of an event as its file has them; None is an empty field."""


Placing = Callable[[Path, "HostileFile"], Callable[[], None] | None]
"""Puts a delivery into the landing folder; what it returns finishes the writing, later."""

# Ways into the landing folder ----------------------------------------------------------------------------------------


def by_rename(folder: Path, delivery: HostileFile, *, mode: int = 0o644, modified_at: float | None = None) -> None:
    """Deliver as a correct sender does."""
    hidden = folder / f".{os.getpid()}.part"
    hidden.write_bytes(delivery.content)
    hidden.chmod(mode)
    if modified_at is not None:
        os.utime(hidden, (modified_at, modified_at))
    hidden.rename(folder / delivery.name)


def by_hard_link(folder: Path, delivery: HostileFile) -> Callable[[], None]:
    """Deliver by rename, with a second name elsewhere; the returned function appends a row through that name."""
    hidden = folder / f".{delivery.name}"
    hidden.write_bytes(delivery.content)
    elsewhere = folder.with_name(f"{folder.name}-{delivery.name}")
    elsewhere.hardlink_to(hidden)
    hidden.rename(folder / delivery.name)

    def append() -> None:
        with elsewhere.open("a", encoding="utf-8") as writer:
            writer.write(f"{line_of(valid_row())}\n")

    return append


def as_symlink(folder: Path, delivery: HostileFile) -> None:
    """Deliver a link to a good file elsewhere."""
    target = folder.with_name(f"{folder.name}-elsewhere.csv")
    target.write_bytes(delivery.content)
    (folder / delivery.name).symlink_to(target)


def as_fifo(folder: Path, delivery: HostileFile) -> None:
    """Deliver a pipe that nobody writes to; opening it normally would block for ever."""
    os.mkfifo(folder / delivery.name)


def as_directory(folder: Path, delivery: HostileFile) -> None:
    """Deliver a folder with the file in it."""
    (folder / delivery.name).mkdir()
    (folder / delivery.name / "inside.csv").write_bytes(delivery.content)


def in_halves(folder: Path, delivery: HostileFile) -> Callable[[], None]:
    """Write the first half under the final name and keep the file open; the returned function writes the rest."""
    writer = (folder / delivery.name).open("wb")
    middle = len(delivery.content) // 2
    writer.write(delivery.content[:middle])
    writer.flush()

    def finish() -> None:
        writer.write(delivery.content[middle:])
        writer.close()

    return finish


def renamed_too_early(folder: Path, delivery: HostileFile) -> Callable[[], None]:
    """Deliver as ``in_halves``, but rename the file into place while it is half-written."""
    finish = in_halves(folder, replace(delivery, name=f".{delivery.name}"))
    (folder / f".{delivery.name}").rename(folder / delivery.name)
    return finish


class Verdict(Enum):
    """The required outcome of an input."""

    OK = "taken"
    ROW = "row rejected"
    FILE = "file quarantined"
    ALARM = "alarm"
    KEPT_ASIDE = "taken, the rest kept aside"
    IGNORED = "ignored until whole"
    ONE_ROW = "one row, the others counted"


class Wave(Enum):
    """When a delivery is made."""

    FIRST = 1
    """Before the stream starts."""
    SECOND = 2
    """When the stream has finished all files of the first wave, in further batches."""
    HELD_UP = 3
    """While no batch can commit; its writing is finished between the reading and the commit."""


@dataclass(frozen=True)
class Reject:
    """A row that must be in ``shop.rejects``; with ``raw`` None its text is not compared."""

    line: int
    reasons: tuple[str, ...]
    raw: str | None = None


@dataclass(frozen=True)
class HostileFile:
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
        """Return its name as ``shop.files`` has it, with bytes that are not UTF-8 escaped."""
        return self.name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


@dataclass(frozen=True)
class Case:
    """One kind of hostile input: its description, its outcome, and a function that makes its deliveries."""

    what: str
    verdict: Verdict
    make: Callable[[], HostileFile | list[HostileFile]]

    def deliveries(self) -> list[HostileFile]:
        """Return new deliveries of the case; those without a name are named after it."""
        made = self.make()
        slug = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in self.what)[:60]
        return [
            delivery if delivery.name else replace(delivery, name=f"{slug}-{next(_numbers)}.csv")
            for delivery in (made if isinstance(made, list) else [made])
        ]


# Contents ------------------------------------------------------------------------------------------------------------

HEADER = csv_text([]).encode()


def line_of(row: Row) -> str:
    """Return the row as the line of a file, without its end."""
    return csv_text([row]).split("\n", 1)[1].removesuffix("\n")


def taken(*rows: Row, **changes: Any) -> HostileFile:
    """Return an ordinary file, all rows of which must be stored; ``changes`` are fields of the delivery."""
    return replace(HostileFile(csv_text(rows).encode(), stored=rows), **changes)


def good_rows(count: int = 3) -> list[Row]:
    """Return valid rows, all different."""
    return [valid_row() for _ in range(count)]


def with_fields(*changes: Mapping[str, str | None]) -> HostileFile:
    """Return a file with a row for each set of changed fields, which must be stored exactly so."""
    return taken(*(valid_row(**one) for one in changes))


def with_line(line: bytes, *reasons: str, raw: str | None = None) -> HostileFile:
    """Return a file with this line between two good ones; it must be rejected for these reasons."""
    before, after = good_rows(2)
    content = HEADER + line_of(before).encode() + b"\n" + line + b"\n" + line_of(after).encode() + b"\n"
    return HostileFile(content, stored=[before, after], rejects=[Reject(3, reasons, raw)])


def with_field(reasons: str | Sequence[str], **changes: str | None) -> HostileFile:
    """Return a file with a row of these fields between two good ones; its raw text and all reasons are checked."""
    line = line_of(valid_row(**changes))
    return with_line(line.encode(), *((reasons,) if isinstance(reasons, str) else reasons), raw=line)


def with_bytes(corrupted: bytes, reason: str, raw: str) -> HostileFile:
    """Return a file with a row that contains these bytes, between two good ones."""
    line = line_of(valid_row(product_name="Caf@"))
    return with_line(line.encode().replace(b"@", corrupted), reason, raw=line.replace("@", raw))


def at_fault(fault: str, content: bytes, **changes: Any) -> HostileFile:
    """Return a file that must be quarantined as a whole."""
    return replace(HostileFile(content, fault=fault), **changes)


def packed(fault: str, corrupt: Callable[[bytes], bytes]) -> HostileFile:
    """Return a gzip file of many good rows, corrupted by ``corrupt``."""
    return at_fault(fault, corrupt(gzip.compress(csv_text(good_rows(500)).encode())), name=f"{corrupt.__name__}.csv.gz")


def truncated(content: bytes) -> bytes:
    """Remove the last fifth."""
    return content[: len(content) * 4 // 5]


def bad_checksum(content: bytes) -> bytes:
    """Replace the CRC-32 in the trailer (RFC 1952, section 2.3.1)."""
    return content[:-8] + bytes([content[-8] ^ 0xFF]) + content[-7:]


def header_with(columns: Iterable[str]) -> bytes:
    """Return a file with these columns and one row."""
    row = valid_row()
    names = list(columns)
    return csv_text([{name: row.get(name, "x") for name in names}], names).encode()


# Files that take more than a line ------------------------------------------------------------------------------------


def reordered() -> HostileFile:
    rows = good_rows()
    return HostileFile(csv_text(rows, reversed(COLUMN_NAMES)).encode(), stored=rows)


def extra_column() -> HostileFile:
    rows = [valid_row(coupon="SPRING \"10\"; 'x'"), valid_row(coupon=None), valid_row(coupon="é\u202e")]
    return HostileFile(csv_text(rows, [*COLUMN_NAMES, "coupon"]).encode(), stored=rows)


def drifted_header() -> HostileFile:
    rows = good_rows()
    names = ",".join(f" {name.upper()}\t" if number % 2 else name.title() for number, name in enumerate(COLUMN_NAMES))
    return HostileFile(csv_text(rows).replace(",".join(COLUMN_NAMES), names, 1).encode(), stored=rows)


def repeated_column() -> HostileFile:
    lines = csv_text(good_rows()).splitlines()
    return at_fault("header_column_repeated", "".join(f"{line},city\n" for line in lines).encode())


def bomb() -> HostileFile:
    """Return a file two thousand times smaller packed than unpacked: good rows first, then rows past the limit."""
    rows = csv_text(good_rows()).encode()
    blank = b"\n" * MIB
    packed_blank = gzip.compress(blank)
    return at_fault("too_large", gzip.compress(rows) + packed_blank * (MAX_FILE_BYTES // MIB + 1), name="bomb.csv.gz")


def concatenated() -> HostileFile:
    rows = good_rows(4)
    head, *lines = csv_text(rows).encode().splitlines(keepends=True)
    # The second member begins within a row.
    first, second = head + lines[0] + lines[1][:40], lines[1][40:] + lines[2] + lines[3]
    return HostileFile(gzip.compress(first) + gzip.compress(second), name="concatenated.csv.gz", stored=rows)


def unclosed_quote_within(rows_behind: int) -> HostileFile:
    before, *after = good_rows(1 + rows_behind)
    broken = line_of(valid_row(product_name="@")).replace("@", '"open')
    lines = [line_of(before), broken, *map(line_of, after)]
    return HostileFile(
        HEADER + "\n".join(lines).encode() + b"\n",
        stored=[before, *after],
        rejects=[Reject(3, ("row_too_long",), broken)],
    )


def unclosed_quote_at_end() -> HostileFile:
    rows = good_rows(2)
    broken = line_of(valid_row(product_name="@")).replace("@", '"open')
    return HostileFile(
        csv_text(rows).encode() + broken.encode(), stored=rows, rejects=[Reject(4, ("row_too_long",), broken)]
    )


def large_field() -> HostileFile:
    line = line_of(valid_row(product_name="@")).encode().replace(b"@", b"x" * (100 * 1000 * 1000))
    return with_line(line, "row_too_long")


def large_quoted_field() -> HostileFile:
    """Return a quoted field that is closed, but ten times longer than a row may be."""
    line = line_of(valid_row(product_name="@")).encode()
    return with_line(line.replace(b"@", b'"' + b"x" * (10 * MIB) + b'"'), "row_too_long")


def ragged() -> HostileFile:
    rows = good_rows(2)
    short, long = line_of(valid_row()).rpartition(",")[0], line_of(valid_row()) + ",more"
    return HostileFile(
        csv_text(rows).encode() + f"{short}\n{long}\nx\n".encode(),
        stored=rows,
        rejects=[Reject(line, ("row_ragged",), raw) for line, raw in ((4, short), (5, long), (6, "x"))],
    )


def empty_and_absent() -> HostileFile:
    """Return rows in which ``""`` is absent, like an empty field, and four quotes are one quote."""
    texts = {"@": '""', "@@": "", "@@@": '""""'}
    rows = [valid_row(city=city) for city in texts]
    content = csv_text(rows)
    for mark in sorted(texts, reverse=True):
        content = content.replace(mark, texts[mark])
    return HostileFile(
        content.encode(), stored=[{**row, "city": city} for row, city in zip(rows, (None, None, '"'), strict=True)]
    )


def from_two_exporters() -> list[HostileFile]:
    """Return the same events with every field quoted and with bare fields: plain duplicates."""
    view, cart, purchase = (valid_row(event_type=one, city=None) for one in ("view", "add_to_cart", "purchase"))
    view |= {"order_id": None, "quantity": None, "payment_method": None}
    cart |= {"order_id": None, "payment_method": None}
    rows = [view, cart, purchase]
    quoted = io.StringIO()
    writer = csv.DictWriter(quoted, COLUMN_NAMES, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return [
        HostileFile(quoted.getvalue().encode(), stored=rows),
        HostileFile(csv_text(rows).encode(), duplicates=3, wave=Wave.SECOND),
    ]


def with_values(column: str, values: Mapping[str, str | Sequence[str] | None], **others: str | None) -> HostileFile:
    """Return a file with a row for each value of a column: its reasons, or None if it must be stored."""
    stored, rejects = [], []
    content = csv_text([])
    for line, (value, reasons) in enumerate(values.items(), start=2):
        row = valid_row(**others, **{column: value})
        content += f"{line_of(row)}\n"
        if reasons is None:
            stored.append(row)
        else:
            rejects.append(Reject(line, (reasons,) if isinstance(reasons, str) else tuple(reasons), line_of(row)))
    return HostileFile(content.encode(), stored=stored, rejects=rejects)


def ways_to_write_a_time() -> HostileFile:
    """Return eighteen forms of about the same moment; those that are exact are stored."""
    utc = datetime.now(UTC) - timedelta(minutes=1)
    local = utc.astimezone(timezone(timedelta(hours=1)))
    forms = {
        "%Y-%m-%dT%H:%M:%S.125Z": None,
        "%Y-%m-%d %H:%M:%S+00": None,
        "%Y-%m-%d %H:%M:%S.125+00": None,
        "%Y-%m-%dT%H:%MZ": None,
        "%Y-%m-%dT%H:%M:%S,125Z": None,
        "%Y-%m-%dT%H:%M:%S.123456000Z": None,
        **dict.fromkeys(
            (
                "%Y-%m-%dT%H:%M:%S.123456789Z",
                "%Y-%m-%dt%H:%M:%Sz",
                "%Y-%m-%d %H:%M:%S UTC",
                "%Y-%m-%d %H:%M:%S",
                "%s000",
                "%s",
                "46352,854167",
                "%d.%m.%Y %H:%M",
                "%m/%d/%Y %I:%M:%S %p",
                "%Y-%m-%dT23:59:60Z",
                "%a, %d %b %Y %H:%M:%S GMT",
            ),
            "event_time_invalid",
        ),
    }
    times = {utc.strftime(form): reason for form, reason in forms.items()}
    return with_values("event_time", {**times, local.strftime("%Y-%m-%dT%H:%M:%S+0100"): None})


def commas_at_every_end(rows: Iterable[Row], count: int) -> bytes:
    """Return a file each line of which, with the header, ends in so many extra commas."""
    return csv_text(rows).replace("\n", "," * count + "\n").encode()


def comma_at_every_end() -> HostileFile:
    rows = good_rows()
    return HostileFile(commas_at_every_end(rows, 1), stored=rows)


def comma_at_the_end_of_rows() -> HostileFile:
    lines = [f"{line_of(row)}," for row in good_rows()]
    return HostileFile(
        HEADER + "\n".join(lines).encode() + b"\n",
        rejects=[Reject(line, ("row_ragged",), raw) for line, raw in enumerate(lines, start=2)],
    )


def value_without_a_column_name() -> HostileFile:
    first, other = good_rows(2)
    rejected = f"{line_of(valid_row())},x"
    lines = [HEADER.decode().strip() + ",", f"{line_of(first)},", rejected, f'{line_of(other)},""']
    return HostileFile(
        "\n".join(lines).encode() + b"\n", stored=[first, other], rejects=[Reject(3, ("row_ragged",), rejected)]
    )


def goes_on_behind_its_quote() -> HostileFile:
    line = line_of(valid_row(product_name="@")).replace("@", '"Tin" Kettle')
    return with_line(line.encode(), "row_misquoted", raw=line)


def sale_and_its_refunds() -> HostileFile:
    """Return a sale and its refunds; revenue is gross, and the contract has no event for refunds."""
    sale = valid_row(unit_price="60.00", quantity="3")
    changes: list[tuple[dict[str, str | None], tuple[str, ...]]] = [
        ({"unit_price": "-60.00"}, ("unit_price_not_positive",)),
        ({"quantity": "-1"}, ("quantity_invalid",)),
        ({"event_type": "refund"}, ("event_type_unknown",)),
        ({"event_type": "cancel", "unit_price": "0.00"}, ("event_type_unknown", "unit_price_not_positive")),
    ]
    rows = [valid_row(**{**one, "unit_price": one.get("unit_price", "60.00")}) for one, _ in changes]
    return HostileFile(
        csv_text([sale, *rows]).encode(),
        stored=[sale],
        rejects=[
            Reject(line, reasons, line_of(row))
            for line, (row, (_, reasons)) in enumerate(zip(rows, changes, strict=True), start=3)
        ],
    )


def id_used_again() -> HostileFile:
    first = valid_row(order_id="O1")
    event_id = str(first["event_id"])
    other = {**first, "order_id": "O2", "unit_price": "500.00"}
    bad = [event_id.upper(), f"{{{event_id}}}", event_id.replace("-", ""), "3f0c9a52-6f6e-4a54-9f0e-1b7a2c3d4e5f"]
    rows = [{**first, "event_id": one} for one in bad]
    return HostileFile(
        csv_text([first, other, *rows]).encode(),
        stored=[first],
        duplicates=1,
        conflicts=[("order_id", "unit_price")],
        rejects=[Reject(line, ("event_id_invalid",), line_of(row)) for line, row in enumerate(rows, start=4)],
    )


def blank_lines_and_a_total() -> HostileFile:
    first, last = good_rows(2)
    nothing, total = "," * 18, "Total,,,,,,,,,,,39.80,2,,,,,,"
    missing = [f"{column.name}_missing" for column in COLUMNS if not column.is_nullable]
    of_total = [code for code in missing if code not in ("event_id_missing", "unit_price_missing")]
    lines = [HEADER.decode().strip(), "", line_of(first), "", line_of(last), nothing, total, "", ""]
    return HostileFile(
        "\n".join(lines).encode(),
        stored=[first, last],
        rejects=[Reject(6, tuple(missing), nothing), Reject(7, (*of_total, "event_id_invalid"), total)],
    )


def cut_in_the_last_field() -> HostileFile:
    """Return a file cut in its last field; it looks whole, so it is stored with a warning."""
    *rows, last = good_rows()
    content = csv_text([*rows, last]).encode().rstrip(b"\n")[:-1]
    return HostileFile(content, stored=[*rows, {**last, "city": str(last["city"])[:-1]}])


def cut_within_a_row_then_whole() -> list[HostileFile]:
    """Return a stalled transfer and later the whole file; nothing is missing afterwards."""
    *rows, last = good_rows()
    whole = csv_text([*rows, last])
    cut = whole[: whole.index(str(last["product_id"]), whole.index(str(last["event_id"]))) + 2]
    return [
        HostileFile(
            cut.encode(), stored=rows, rejects=[Reject(2 + len(rows), ("row_ragged",), cut.rpartition("\n")[2])]
        ),
        HostileFile(whole.encode(), stored=[last], duplicates=len(rows), wave=Wave.SECOND),
    ]


def packed_and_in_capitals() -> HostileFile:
    delivery = taken(*good_rows())
    return replace(delivery, content=gzip.compress(delivery.content), name="CAPITALS.CSV.GZ")


def end_of_copy_in_fields() -> HostileFile:
    r"""Return fields with ``\.``, which ends the data of COPY: alone, and alone on a line inside a field."""
    return with_fields({"product_name": r"\."}, {"product_name": "a\n\\.\nb"}, {})


SQL = "'; DROP TABLE shop.events; --"


def sql_in_every_text() -> HostileFile:
    free = [column.name for column in COLUMNS if column.postgres_type == "text" and not column.values]
    return with_fields(dict.fromkeys(set(free) - {"country"}, SQL), {})


def sql_in_every_field() -> HostileFile:
    unknown = [f"{column.name}_unknown" for column in COLUMNS if column.values]
    invalid = [f"{name}_invalid" for name in ("event_id", "event_time", "unit_price", "quantity", "country")]
    return with_field([*unknown, *invalid], **dict.fromkeys(COLUMN_NAMES, SQL))


def distinct_ids() -> HostileFile:
    """Return ids that look the same: Latin and Cyrillic, right-to-left, zero-width, composed and decomposed."""
    alike = ["Pa", "P\u0430", "\u202ePa", "P\u200ba", "P\u200da", "\ufeffPa", "P\u00e1", "Pa\u0301", "Pa ", " Pa", "pa"]
    return with_fields(*({"user_id": one, "session_id": one, "order_id": one, "product_id": one} for one in alike))


def duplicate_within_a_file() -> HostileFile:
    first, other = good_rows(2)
    return HostileFile(csv_text([first, other, first, first]).encode(), stored=[first, other], duplicates=2)


def duplicate_in_other_files(*, wave: Wave) -> list[HostileFile]:
    (row,) = good_rows(1)
    return [taken(row), HostileFile(csv_text([row]).encode(), duplicates=1, wave=wave)]


def duplicate_of_another_day() -> list[HostileFile]:
    """Return two events with one id and times on other days than the id's; the first is stored."""
    instant = at("2026-03-01 23:59:59")
    row = valid_row(event_id=uuid7(instant), event_time=instant.isoformat())
    later = {**row, "event_time": "2026-03-02T00:00:01+00:00"}
    return [
        taken(row),
        HostileFile(csv_text([later]).encode(), duplicates=1, conflicts=[("event_time",)], wave=Wave.SECOND),
    ]


def duplicate_that_differs() -> list[HostileFile]:
    (row,) = good_rows(1)
    other = {**row, "brand": "Other", "unit_price": "1.00"}
    return [
        HostileFile(csv_text([row, other]).encode(), stored=[row], duplicates=1, conflicts=[("brand", "unit_price")]),
        HostileFile(
            csv_text([{**row, "city": None}, row]).encode(), duplicates=2, conflicts=[("city",)], wave=Wave.SECOND
        ),
    ]


def same_file_again(*, is_same_name: bool) -> list[HostileFile]:
    delivery = taken(*good_rows(), name="again.csv" if is_same_name else "first-name.csv")
    name = delivery.name if is_same_name else "second-name.csv"
    return [delivery, replace(delivery, name=name, stored=(), duplicates=3, wave=Wave.SECOND)]


def other_content_under_the_same_name() -> list[HostileFile]:
    delivery = taken(*good_rows(), name="reused.csv")
    return [
        delivery,
        taken(*good_rows(), name="reused.csv", wave=Wave.SECOND, alert="under the same name, with other content"),
    ]


def named(name: str) -> HostileFile:
    return taken(*good_rows(), name=name)


def modified_at(timestamp: float) -> HostileFile:
    return taken(*good_rows(), placing=partial(by_rename, modified_at=timestamp))


def dated_far_ahead() -> list[HostileFile]:
    return [modified_at(at("2099-01-01 00:00").timestamp()), taken(*good_rows(), wave=Wave.SECOND)]


def many_tiny_files() -> list[HostileFile]:
    return [taken(*good_rows(1)) for _ in range(1000)]


def file_of_many_parts() -> HostileFile:
    return taken(*good_rows(4 * PART_BYTES // 190), least_parts=4)


def appended_to() -> HostileFile:
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
PRICES = {
    **dict.fromkeys(("1.29", "19.9", "19", "1299.00")),
    **dict.fromkeys(
        (
            "19,90",
            "1,299.00",
            "1.299,00",
            "1\u00a0299,00",
            "1.299",
            "19.",
            ".90",
            "+19.90",
            "19.900",
            "EUR 19.90",
            " 19.90",
        ),
        "unit_price_invalid",
    ),
}
CURRENCIES = {"EUR": None, "GBP": None, **dict.fromkeys(("CHF", "JPY", "eur", "€", "PLN"), "currency_unknown")}
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
    Case("empty file", OK, HostileFile),
    Case("header only", OK, lambda: HostileFile(HEADER)),
    Case("header only, without a line end", OK, lambda: HostileFile(HEADER.rstrip())),
    Case("no header", FILE, lambda: at_fault("header_missing", csv_text(good_rows()).encode().split(b"\n", 1)[1])),
    Case("reordered columns", OK, reordered),
    Case("missing column", FILE, lambda: at_fault("header_column_missing", header_with(COLUMN_NAMES[:-2]))),
    Case(
        "semicolons for commas",
        FILE,
        lambda: at_fault("separator_not_comma", csv_text(good_rows()).replace(",", ";").encode()),
    ),
    Case(
        "tabs for commas",
        FILE,
        lambda: at_fault("separator_not_comma", csv_text(good_rows()).replace(",", "\t").encode()),
    ),
    Case(
        "a line `sep=;` before the header",
        FILE,
        lambda: at_fault("separator_line", b"\xef\xbb\xbfsep=;\r\n" + csv_text(good_rows()).replace(",", ";").encode()),
    ),
    Case(
        "a line `sep=,` before a good file",
        FILE,
        lambda: at_fault("separator_line", b"sep=,\r\n" + csv_text(good_rows()).encode()),
    ),
    Case("a comma at the end of every line", OK, comma_at_every_end),
    Case("a comma at the end of every row, not of the header", ROW, comma_at_the_end_of_rows),
    Case(
        "two columns without a name",
        FILE,
        lambda: at_fault("header_column_unnamed", commas_at_every_end(good_rows(), 2)),
    ),
    Case("a value in a last column without a name", ROW, value_without_a_column_name),
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
    Case("name with its suffix in capitals", OK, partial(named, "CAPITALS.CSV")),
    Case("the same, packed", OK, packed_and_in_capitals),
    Case(
        "no header, and a long name of characters of three bytes",
        FILE,
        lambda: at_fault("header_missing", b"1,2,3\n", name="\u6ce8" * 67 + ".csv"),
    ),
    Case(
        "unreadable (mode 0000)",
        ALARM,
        lambda: at_fault("unreadable", HEADER, alert="unreadable", placing=partial(by_rename, mode=0)),
    ),
    Case("unclosed quote, three rows behind it", ROW, lambda: unclosed_quote_within(3)),
    Case("unclosed quote, 2 MB of rows behind it", ROW, lambda: unclosed_quote_within(2 * MIB // 190)),
    Case("unclosed quote in the last row", ROW, unclosed_quote_at_end),
    Case("a field that goes on behind its closing quote", ROW, goes_on_behind_its_quote),
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
    Case("the same events with every field quoted, then with bare ones", ONE_ROW, from_two_exporters),
    Case("no line end at the end, cut in the last field", OK, cut_in_the_last_field),
    Case("cut within its last row, later the whole file", ROW, cut_within_a_row_then_whole),
    Case("blank lines, a line of commas, a line with a total", ROW, blank_lines_and_a_total),
    Case("prices of other countries", ROW, lambda: with_values("unit_price", PRICES)),
    Case("currencies that the contract lacks", ROW, lambda: with_values("currency", CURRENCIES)),
    Case("a sale and its refunds", ROW, sale_and_its_refunds),
    Case("eighteen ways to write a time", ROW, ways_to_write_a_time),
    Case("an id that is used again, and ids in other forms", ROW, id_used_again),
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


def _prefixed(mark: bytes) -> HostileFile:
    delivery = taken(*good_rows())
    return replace(delivery, content=mark + delivery.content)


def _with_line_ends(end: str) -> HostileFile:
    delivery = taken(*good_rows())
    return replace(delivery, content=delivery.content.replace(b"\n", end.encode()))


def _offset_times() -> list[str]:
    return ["2026-11-22T09:30:00.125Z", "2026-11-22 23:59:59.999999+14:00", "2026-11-22T00:00:00-09:30"]
