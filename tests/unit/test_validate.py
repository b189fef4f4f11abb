"""Tests of row validation: each rule of the contract, broken alone and not at all."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from include.contract import COLUMN_NAMES, EVENT_TYPES, REJECT_RULES, RULES
from include.stream.reading.csv_reader import read_file
from include.stream.storage.slice_rows import reasons_of
from include.stream.validation.validate import BROKEN_RULES, VALIDATED_SCHEMA, validate
from tests.support.csv_files import csv_text, uuid7, valid_row

FIELD_RULES = [rule for rule in REJECT_RULES if rule.predicate is not None]


def judged(folder: Path, content: str | bytes) -> pa.Table:
    """Read and validate a file; return its rows by line, without the footer."""
    path = folder / "file.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    table = pa.Table.from_batches(
        validate(read_file(path, 1, slice_bytes=1 << 20, max_bytes=1 << 20)), VALIDATED_SCHEMA
    )
    return table.filter(pc.invert(table["is_footer"])).sort_by("line")


def reasons(rows: pa.Table) -> list[list[str]]:
    """Return the reject reasons of each row."""
    return [reasons_of(flags) for flags in rows[BROKEN_RULES].to_pylist()]


def test_every_field_rule_has_a_corrupt_value() -> None:
    assert [rule.code for rule in FIELD_RULES if not rule.corrupt] == []


def test_each_corrupted_row_breaks_only_its_rule(tmp_path: Path) -> None:
    rows = [
        valid_row(event_type=rule.corrupt_type, **rule.corrupt)
        for rule in FIELD_RULES
        if "event_type" not in rule.corrupt
    ]
    rows += [valid_row(**rule.corrupt) for rule in FIELD_RULES if "event_type" in rule.corrupt]
    codes = [rule.code for rule in FIELD_RULES if "event_type" not in rule.corrupt]
    codes += [rule.code for rule in FIELD_RULES if "event_type" in rule.corrupt]
    assert reasons(judged(tmp_path, csv_text(rows))) == [[code] for code in codes]


def test_every_broken_rule_is_reported(tmp_path: Path) -> None:
    (found,) = reasons(judged(tmp_path, csv_text([valid_row(category="Food", quantity="0", country=None)])))
    assert set(found) == {"category_unknown", "quantity_invalid", "country_missing"}


def test_a_row_that_cannot_be_parsed_has_that_one_reason(tmp_path: Path) -> None:
    content = (csv_text([valid_row(city="X\0")]) + "ragged,row\n").encode() + csv_text([valid_row(city="é")]).encode(
        "latin-1"
    ).split(b"\n", 1)[1]
    assert reasons(judged(tmp_path, content)) == [["row_has_nul"], ["row_ragged"], ["row_not_utf8"]]


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_an_event_needs_only_the_fields_of_its_type(tmp_path: Path, event_type: str) -> None:
    needless = {
        "view": ("quantity", "order_id", "payment_method", "city"),
        "add_to_wishlist": ("quantity", "order_id", "payment_method", "city"),
        "add_to_cart": ("order_id", "payment_method", "city"),
        "order": ("payment_method", "city"),
        "purchase": ("city",),
    }[event_type]
    (row,) = judged(tmp_path, csv_text([valid_row(event_type=event_type, **dict.fromkeys(needless))])).to_pylist()
    assert row[BROKEN_RULES] == 0


def test_accepted_fields_have_exact_types(tmp_path: Path) -> None:
    sent = valid_row(unit_price="9999999999.99", quantity="1000", event_time="2026-03-01T01:02:03.000004+05:30")
    (row,) = judged(tmp_path, csv_text([sent])).to_pylist()
    assert row[BROKEN_RULES] & ~(1 << [rule.code for rule in RULES].index("event_late")) == 0
    assert (row["unit_price"], row["quantity"]) == (Decimal("9999999999.99"), 1000)
    assert row["event_time"] == datetime(2026, 2, 28, 19, 32, 3, 4, UTC)
    assert row["event_id"] == UUID(sent["event_id"]).bytes
    untouched = set(COLUMN_NAMES) - {"event_id", "event_time", "unit_price", "quantity"}
    assert {name: row[name] for name in untouched} == {name: sent[name] for name in untouched}


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("unit_price", "1e400", "unit_price_invalid"),
        ("unit_price", "NaN", "unit_price_invalid"),
        ("unit_price", "Infinity", "unit_price_invalid"),
        ("unit_price", "-0", "unit_price_not_positive"),
        ("unit_price", "1.000000000000000000000000000001", "unit_price_invalid"),
        ("unit_price", "19.999", "unit_price_invalid"),
        ("unit_price", " 19.99", "unit_price_invalid"),
        ("quantity", "9223372036854775808", "quantity_invalid"),
        ("quantity", "1.5", "quantity_invalid"),
        ("event_time", "2026-11-22T12:00:00", "event_time_invalid"),
        ("event_time", "0000-01-01T00:00:00Z", "event_time_invalid"),
        ("event_time", "2026-11-22T25:00:00Z", "event_time_invalid"),
        ("event_time", "10000-01-01T00:00:00Z", "event_time_invalid"),
        ("event_time", "1969-12-31T23:59:59Z", "event_time_invalid"),
        ("event_time", "2026-02-29T12:00:00Z", "event_time_invalid"),
        ("event_time", "2100-02-29T12:00:00Z", "event_time_invalid"),
        ("event_time", "2026-04-31T12:00:00Z", "event_time_invalid"),
        ("event_time", "2026-11-22T12:00:60Z", "event_time_invalid"),
        ("event_time", "2026-11-22T12:00:00.1234567Z", "event_time_invalid"),
        ("event_time", "2026-11-22T12:00:00.1234560001Z", "event_time_invalid"),
        ("event_time", "2026-11-22T12:00:00.Z", "event_time_invalid"),
        ("event_time", "2026-11-22T12:00.5Z", "event_time_invalid"),
        ("event_time", "2026-11-22T12Z", "event_time_invalid"),
        ("event_time", "2026-11-22T12:00:00+1", "event_time_invalid"),
        ("event_time", "2026-11-22T12:00:00+1801", "event_time_invalid"),
        ("event_time", "2026-11-22T12:00:00 +01", "event_time_invalid"),
        ("event_time", "2026-11-22t12:00:00z", "event_time_invalid"),
        ("event_time", "2026-11-22 12:00:00 UTC", "event_time_invalid"),
        ("event_time", "1969-12-31T23:59:59.9999990Z", "event_time_invalid"),
        ("event_time", "2023-02-29T12:00:00,000000000+00", "event_time_invalid"),
        ("event_time", "2026-11-22T12:00:00Z\n", "event_time_invalid"),
        ("event_time", "2026-11-22T12:00:00+99:00", "event_time_invalid"),
        ("event_time", "2026-11-22T12:00:00+18:01", "event_time_invalid"),
        ("country", "DE\n", "country_invalid"),
        ("event_id", "019A2F6B-7C00-7A3E-8D51-6F0A8F3B2C11", "event_id_invalid"),
        ("event_type", "View", "event_type_unknown"),
        ("user_id", "", "user_id_missing"),
    ],
)
def test_invalid_values_are_never_repaired_silently(tmp_path: Path, field: str, value: str, reason: str) -> None:
    assert reasons(judged(tmp_path, csv_text([valid_row(**{field: value})]))) == [[reason]]


def test_late_events_are_accepted_with_a_warning(tmp_path: Path) -> None:
    then = datetime.now(UTC) - timedelta(hours=3)
    (row,) = judged(tmp_path, csv_text([valid_row(event_id=uuid7(then), event_time=then.isoformat())])).to_pylist()
    assert reasons_of(row[BROKEN_RULES]) == []
    assert row[BROKEN_RULES] == 1 << [rule.code for rule in RULES].index("event_late")


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2024-02-29T23:59:59.5Z", datetime(2024, 2, 29, 23, 59, 59, 500_000, UTC)),
        ("2000-02-29 00:00:00+00:00", datetime(2000, 2, 29, tzinfo=UTC)),
        ("1970-01-01T00:00:00Z", datetime(1970, 1, 1, tzinfo=UTC)),
        ("2026-01-31T01:02:03.000004-18:00", datetime(2026, 1, 31, 19, 2, 3, 4, UTC)),
        ("2026-01-26 20:30:00+00", datetime(2026, 1, 26, 20, 30, tzinfo=UTC)),
        ("2026-01-26 20:30:00.125-03", datetime(2026, 1, 26, 23, 30, 0, 125_000, UTC)),
        ("2026-01-26T20:30:00+0130", datetime(2026, 1, 26, 19, 0, tzinfo=UTC)),
        ("2026-01-26T20:30-18", datetime(2026, 1, 27, 14, 30, tzinfo=UTC)),
        ("2026-01-26 20:30Z", datetime(2026, 1, 26, 20, 30, tzinfo=UTC)),
        ("2026-01-26T20:30:00,125Z", datetime(2026, 1, 26, 20, 30, 0, 125_000, UTC)),
        ("2026-01-26T20:30:00.123456000Z", datetime(2026, 1, 26, 20, 30, 0, 123_456, UTC)),
        ("2026-01-26T20:30:00,120000000+0100", datetime(2026, 1, 26, 19, 30, 0, 120_000, UTC)),
        ("2024-02-29T00:00:00.000000000+00", datetime(2024, 2, 29, tzinfo=UTC)),
    ],
)
def test_a_valid_time_is_parsed_exactly(tmp_path: Path, text: str, instant: datetime) -> None:
    (row,) = judged(tmp_path, csv_text([valid_row(event_time=text)])).to_pylist()
    assert row["event_time"] == instant
    assert reasons_of(row[BROKEN_RULES]) == []


def test_mixed_time_formats_in_a_block_are_parsed_exactly(tmp_path: Path) -> None:
    """Mix plain forms, unusual forms and invalid values in one block."""
    texts = ["2026-01-26T20:30:00.5Z", "2026-01-26T20:30:00,500000000Z", None, "x,5", "2026-01-26 20:30:00.5+00"]
    rows = judged(tmp_path, csv_text([valid_row(event_time=text) for text in texts])).to_pylist()
    instant = datetime(2026, 1, 26, 20, 30, 0, 500_000, UTC)
    assert [row["event_time"] for row in rows] == [instant, instant, None, None, instant]


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"unit_price": "19,90"}, {"unit_price_invalid": "19,90"}),
        ({"city": "é" * 1001}, {"city_too_long": "é" * 100 + "…"}),
        ({"category": "Food", "quantity": "0"}, {"category_unknown": "Food", "quantity_invalid": "0"}),
        ({"user_id": None}, None),
        ({}, None),
    ],
)
def test_a_reject_shows_the_values_that_are_wrong(
    tmp_path: Path, changes: dict[str, str], found: dict[str, str] | None
) -> None:
    rows = judged(tmp_path, csv_text([valid_row(), valid_row(**changes), valid_row()])).to_pylist()
    assert [json.loads(row["detail"]) if row["detail"] else None for row in rows] == [None, found, None]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("2026-01-26 20:30:00", "the offset from UTC is missing: end it with Z or, for example, +01:00"),
        ("2026-01-26T20:30:00.123456789Z", "finer than a microsecond, and nothing is rounded"),
        ("1764189000000", "a number; write it as YYYY-MM-DDThh:mm:ss with its offset from UTC"),
        ("26.11.2026 20:30", "not of the form YYYY-MM-DDThh:mm:ss with an offset from UTC"),
        ("2026-01-26T20:30:00 CET", "the offset from UTC is neither Z nor +hh:mm, +hhmm or +hh, up to 18 hours"),
        ("2026-01-26T23:59:60Z", "no such time of day"),
        ("2026-02-30T20:30:00Z", "no such date, or one before 1970"),
    ],
)
def test_an_invalid_time_shows_which_part_is_wrong(tmp_path: Path, text: str, why: str) -> None:
    (detail,) = judged(tmp_path, csv_text([valid_row(event_time=text)]))["detail"].to_pylist()
    assert json.loads(detail) == {"event_time_invalid": f"{text} ({why})"}


def test_a_row_that_cannot_be_parsed_shows_what_was_found(tmp_path: Path) -> None:
    good, quoted = (csv_text([valid_row(city=city)]).splitlines()[1] for city in ("Ulm", "@"))
    rows = judged(tmp_path, "\n".join([csv_text([]).strip(), good, "x", quoted.replace("@", '"U"lm'), good, ""]))
    assert [json.loads(row) if row else None for row in rows["detail"].to_pylist()] == [
        None,
        {"row_ragged": "1 field, the header has 19"},
        {"row_misquoted": '"U"lm'},
        None,
    ]


def test_a_last_row_without_a_line_end_is_accepted_with_a_warning(tmp_path: Path) -> None:
    rows = judged(tmp_path, csv_text([valid_row(), valid_row(city="Leip")]).removesuffix("\n")).to_pylist()
    assert [row[BROKEN_RULES] for row in rows] == [0, 1 << [rule.code for rule in RULES].index("last_line_unfinished")]
    assert [reasons_of(row[BROKEN_RULES]) for row in rows] == [[], []]


def test_text_length_is_measured_in_characters(tmp_path: Path) -> None:
    assert reasons(judged(tmp_path, csv_text([valid_row(city="ü" * 1000), valid_row(city="ü" * 1001)]))) == [
        [],
        ["city_too_long"],
    ]


def test_a_block_without_a_valid_row_is_validated(tmp_path: Path) -> None:
    corrupted = dict.fromkeys(("event_id", "event_time", "unit_price", "quantity"), "x")
    (row,) = judged(tmp_path, csv_text([valid_row(**corrupted)])).to_pylist()
    assert {name: row[name] for name in corrupted} == dict.fromkeys(corrupted)
    assert reasons_of(row[BROKEN_RULES]) == [f"{name}_invalid" for name in corrupted]
