"""Tests of generated files: same options give the same bytes, and manifests match the content."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.contract import CURRENCIES, EVENT_TYPES, REJECT_RULES
from include.contract.rules import LATE_AFTER_MINUTES
from include.generator.files import GeneratedFile
from include.manifest import to_json
from tests.support.generated import START, all_files, content, faults, id_time, read_rows


@pytest.fixture(scope="module")
def run() -> list[GeneratedFile]:
    return all_files()


def test_same_options_give_the_same_bytes(run: list[GeneratedFile]) -> None:
    again = all_files()
    assert [content(file) for file in again] == [content(file) for file in run]
    assert [to_json(file.manifest) for file in again] == [to_json(file.manifest) for file in run]


@pytest.mark.parametrize("change", [{"seed": 8}, {"start": START + timedelta(hours=1)}])
def test_another_seed_or_start_gives_other_events(run: list[GeneratedFile], change: dict) -> None:
    ids = {row.fields.get("event_id") for file in run for row in read_rows(content(file))}
    other = {row.fields.get("event_id") for row in read_rows(content(all_files(duration_seconds=25, **change)[0]))}
    assert len(other - ids) > 450


def test_another_start_keeps_customers_and_products(run: list[GeneratedFile]) -> None:
    def products(files: list[GeneratedFile]) -> dict[str, str]:
        rows = [row.fields for file in files for row in read_rows(content(file)) if not faults(row)]
        return {row["product_id"]: row["product_name"] for row in rows}

    here, later = products(run), products(all_files(start=START + timedelta(days=1)))
    shared = here.keys() & later.keys()
    assert len(shared) > 200
    assert all(here[product] == later[product] for product in shared)


def test_manifests_match_the_content_of_their_files(run: list[GeneratedFile]) -> None:
    seen: set[str] = set()
    for number, file in enumerate(run):
        manifest = file.manifest
        rows = read_rows(content(file))
        reasons = [faults(row) for row in rows]
        assert all(len(codes) <= 1 for codes in reasons), "a bad row breaks one rule only"
        accepted, duplicates = [], 0
        for row, codes in zip(rows, reasons, strict=True):
            if codes:
                continue
            if row.fields["event_id"] in seen:
                duplicates += 1
            else:
                seen.add(row.fields["event_id"])
                accepted.append(row)
        window_start = START + timedelta(seconds=25 * number)
        purchases = [row.fields for row in accepted if row.fields["event_type"] == "purchase"]

        assert manifest.sequence == number
        assert manifest.rows == len(rows) == 500
        assert manifest.bad == Counter(codes[0] for codes in reasons if codes)
        assert manifest.duplicates == duplicates
        assert manifest.valid == len(accepted)
        by_type = Counter(row.fields["event_type"] for row in accepted)
        assert manifest.by_type == {name: by_type[name] for name in EVENT_TYPES}
        assert manifest.late == sum(row.time < window_start - timedelta(minutes=LATE_AFTER_MINUTES) for row in accepted)
        assert manifest.revenue == {
            currency: sum(
                (Decimal(row["unit_price"]) * int(row["quantity"]) for row in purchases if row["currency"] == currency),
                Decimal("0.00"),
            )
            for currency in CURRENCIES
        }
        assert manifest.first_event_time == min(row.time for row in accepted)
        assert manifest.last_event_time == max(row.time for row in accepted)


def test_duplicates_repeat_earlier_rows_byte_by_byte(run: list[GeneratedFile]) -> None:
    first: dict[str, tuple[int, bytes]] = {}
    sources: Counter[str] = Counter()
    for number, file in enumerate(run):
        for row in read_rows(content(file)):
            if faults(row):
                continue
            event_id = row.fields["event_id"]
            if event_id in first:
                assert first[event_id][1] == row.raw
                sources["same file" if first[event_id][0] == number else "earlier file"] += 1
            first.setdefault(event_id, (number, row.raw))
    assert sources["same file"] > 50
    assert sources["earlier file"] > 50


def test_late_rows_are_two_hours_to_two_days_late(run: list[GeneratedFile]) -> None:
    delays = []
    for number, file in enumerate(run):
        window_start = START + timedelta(seconds=25 * number)
        delays += [
            (window_start - row.time) / timedelta(hours=1) for row in read_rows(content(file)) if not faults(row)
        ]
    late = [delay for delay in delays if delay > 1]
    assert len(late) > 200
    assert min(late) >= 1.5
    assert max(late) <= 48


def test_shares_match_the_options() -> None:
    files = all_files(events_per_second=500, rows_per_file=5000, bad_share=0.02, duplicate_share=0.03, late_share=0.01)
    rows = sum(file.manifest.rows for file in files)
    assert rows == 150_000
    # Five standard deviations of a share of 3 % in 150,000 rows are 0.22 %.
    assert sum(file.manifest.rejected for file in files) / rows == pytest.approx(0.02, abs=0.002)
    assert sum(file.manifest.duplicates for file in files) / rows == pytest.approx(0.03, abs=0.0022)
    assert sum(file.manifest.late for file in files) / rows == pytest.approx(0.01, abs=0.0013)


def test_every_reject_rule_is_broken_by_some_row() -> None:
    bad: Counter[str] = Counter()
    for file in all_files(bad_share=0.5, duplicate_share=0, late_share=0):
        bad.update(file.manifest.bad)
    # No row is over a mebibyte, since it would outweigh all others, and no row of today is past retention.
    assert set(bad) == {rule.code for rule in REJECT_RULES} - {"row_too_long", "event_past_retention"}


def test_without_shares_every_row_is_valid_and_new() -> None:
    files = all_files(bad_share=0, duplicate_share=0, late_share=0)
    assert all(file.manifest.valid == file.manifest.rows for file in files)
    assert len({row.fields["event_id"] for file in files for row in read_rows(content(file))}) == 6000


def test_product_names_contain_characters_that_csv_must_quote(run: list[GeneratedFile]) -> None:
    names = {row.fields["product_name"] for row in read_rows(content(run[0])) if not faults(row)}
    assert any("," in name for name in names)
    assert any('"' in name for name in names)
    assert any(not name.isascii() for name in names)


def test_ids_carry_the_time_of_the_event(run: list[GeneratedFile]) -> None:
    rows = [row for file in run for row in read_rows(content(file)) if not faults(row)]
    assert all(id_time(row.fields["event_id"]) == row.time for row in rows)


def test_the_rate_is_kept_in_event_time(run: list[GeneratedFile]) -> None:
    for number, file in enumerate(run):
        end = START + timedelta(seconds=25 * (number + 1))
        on_time = [row.time for row in read_rows(content(file)) if not faults(row)]
        assert max(on_time) < end, "nothing is ahead of its window"
        assert file.due == end.timestamp()


def test_nothing_happens_after_the_end_of_a_run() -> None:
    last = all_files(duration_seconds=251)[-1]
    assert last.manifest.rows == 20
    assert last.due == START.timestamp() + 251
    assert last.manifest.last_event_time
    assert last.manifest.last_event_time < START + timedelta(seconds=251)


@pytest.mark.slow
@settings(max_examples=25)
@given(
    rate=st.floats(0.5, 5000),
    rows_per_file=st.integers(1, 400),
    total=st.integers(1, 1200),
    share=st.floats(0, 0.3),
    seed=st.integers(0, 2**40),
)
def test_any_run_has_the_requested_rows_and_matching_manifests(
    rate: float, rows_per_file: int, total: int, share: float, seed: int
) -> None:
    files = all_files(
        events_per_second=rate,
        rows_per_file=rows_per_file,
        duration_seconds=total / rate,
        bad_share=share,
        duplicate_share=share,
        late_share=share,
        seed=seed,
    )
    sizes = [len(read_rows(content(file))) for file in files]
    assert sum(sizes) == total
    assert sizes == [file.manifest.rows for file in files]
    assert set(sizes[:-1]) <= {rows_per_file}
    seen: set[bytes] = set()
    for file in files:
        good = [row.raw for row in read_rows(content(file)) if not faults(row)]
        assert len(set(good) - seen) == file.manifest.valid
        seen.update(good)
