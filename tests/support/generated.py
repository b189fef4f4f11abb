"""Read generated files with the simplest code, and find their faults independently of the contract's rules."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from include.contract import COLUMN_NAMES, COLUMNS
from include.contract.patterns import PRICE_PATTERN, QUANTITY_PATTERN, TIME_PATTERN, UUID7_PATTERN
from include.contract.rules import FUTURE_TOLERANCE_MINUTES, MAX_QUANTITY, MAX_TEXT_LENGTH
from include.generator.files import GeneratedFile, generate_files
from include.generator.options import GeneratorOptions

START = datetime(2026, 3, 4, 17, 30, tzinfo=UTC)


def make_options(**changes: Any) -> GeneratorOptions:
    """Return options for 6,000 rows in 12 files that are not paced, with some of every kind."""
    values = {
        "seed": 7,
        "start": START,
        "events_per_second": 20.0,
        "duration_seconds": 300.0,
        "rows_per_file": 500,
        "bad_share": 0.05,
        "duplicate_share": 0.05,
        "late_share": 0.05,
        "is_paced": False,
    }
    return GeneratorOptions(**{**values, **changes})


def content(file: GeneratedFile) -> bytes:
    """Return the bytes of a generated file."""
    return b"".join(bytes(part) for part in file.content)


@dataclass(frozen=True)
class Row:
    """One row: its bytes, and its fields by name if it has as many as the header."""

    raw: bytes
    fields: dict[str, str]

    @property
    def time(self) -> datetime:
        """Return the event time of a valid row."""
        return parse_time(self.fields["event_time"])


def parse_time(text: str) -> datetime:
    """Parse an ISO 8601 time with Z."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def read_rows(data: bytes) -> list[Row]:
    """Return the rows after the header; no field of a generated file contains a line break."""
    header, *lines = data.removesuffix(b"\n").split(b"\n")
    assert header.decode().split(",") == list(COLUMN_NAMES)
    rows = []
    for line in lines:
        # The csv module of Python 3.10 refuses NUL, so replace it.
        text = line.decode("utf-8", "replace").replace("\0", "?")
        fields = next(csv.reader(io.StringIO(text)))
        rows.append(Row(line, dict(zip(COLUMN_NAMES, fields, strict=True)) if len(fields) == len(COLUMN_NAMES) else {}))
    return rows


# A quoted field with text between its closing quote and the next comma.
_MISQUOTED = re.compile(rb'(?:^|,)"(?:[^"]|"")*"[^",]')


def all_files(**changes: Any) -> list[GeneratedFile]:
    """Return every file of a run."""
    return list(generate_files(make_options(**changes)))


def faults(row: Row) -> list[str]:
    """Return the codes of all rules that a row breaks, in plain Python, as of a time well after the run."""
    if not row.fields:
        return ["row_ragged"]
    if b"\0" in row.raw:
        return ["row_has_nul"]
    try:
        row.raw.decode("utf-8")
    except UnicodeDecodeError:
        return ["row_not_utf8"]
    if _MISQUOTED.search(row.raw):
        return ["row_misquoted"]
    return list(_field_faults(row.fields))


def _field_faults(fields: dict[str, str]) -> Iterator[str]:
    latest = START + timedelta(days=1, minutes=FUTURE_TOLERANCE_MINUTES)
    for column in COLUMNS:
        value = fields[column.name]
        if not value:
            if fields["event_type"] in column.required_for or column.name == "event_type":
                yield f"{column.name}_missing"
        elif column.values:
            if value not in column.values:
                yield f"{column.name}_unknown"
        elif column.postgres_type == "text" and column.name != "country":
            if len(value) > MAX_TEXT_LENGTH:
                yield f"{column.name}_too_long"
        elif column.name == "country":
            if not re.fullmatch("[A-Z]{2}", value):
                yield "country_invalid"
        elif column.name == "event_id":
            if not re.match(UUID7_PATTERN, value):
                yield "event_id_invalid"
            elif id_time(value) > latest:
                yield "event_id_in_future"
        elif column.name == "event_time":
            try:
                if not re.match(TIME_PATTERN, value):
                    raise ValueError
                if parse_time(value) > latest:
                    yield "event_time_in_future"
            except ValueError:
                yield "event_time_invalid"
        elif column.name == "unit_price":
            if not re.match(PRICE_PATTERN, value):
                yield "unit_price_invalid"
            elif float(value) <= 0:
                yield "unit_price_not_positive"
        elif column.name == "quantity" and not (re.match(QUANTITY_PATTERN, value) and 1 <= int(value) <= MAX_QUANTITY):
            yield "quantity_invalid"


def id_time(event_id: str) -> datetime:
    """Return the time inside a UUIDv7, or a far one if Python cannot represent it."""
    milliseconds = int(event_id[:8] + event_id[9:13], 16)
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)
