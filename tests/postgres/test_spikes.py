"""Tests that unusually many rejects, quarantined files or conflicts give a finding with the limit and the reason."""

from __future__ import annotations

import pytest

from include.settings import Settings
from include.stream.storage.sink import BatchSink
from include.stream.supervision.disk import diagnose_disks
from include.stream.supervision.refusals import FEWEST_ROWS, diagnose_refusals
from tests.support.csv_files import csv_text, valid_row
from tests.support.pipeline import pipeline
from tests.support.rows import load_batch, make_event
from tests.support.validated import batch, footer, query


def reject(database: Settings, *, read: int, rejected: int, minutes_ago: int = 0) -> None:
    load_batch(database.dsn("owner"), [make_event()])
    query(
        database,
        f"UPDATE shop.batches SET read = {read}, rejected = {rejected}, duplicate = 0, accepted = {read - rejected}, "
        f"committed_at = committed_at - interval '{minutes_ago} min' "
        "WHERE batch_id = (SELECT max(batch_id) FROM shop.batches) RETURNING 1",
    )


@pytest.mark.parametrize(
    ("read", "rejected", "minutes_ago", "is_found"),
    [
        (1000, 201, 0, True),
        (1000, 200, 0, False),
        (FEWEST_ROWS - 1, FEWEST_ROWS - 1, 0, False),
        (1000, 1000, 11, False),
    ],
)
def test_a_large_share_of_rejected_rows_is_found(
    database: Settings, read: int, rejected: int, minutes_ago: int, is_found: bool
) -> None:
    reject(database, read=read, rejected=rejected, minutes_ago=minutes_ago)
    findings = diagnose_refusals(database.dsn("ops"), database)
    assert [one.code for one in findings] == (["reject_share"] if is_found else [])
    if is_found:
        assert "201 of 1,000 rows of the last ten minutes were rejected, 20%; limit 20%" in findings[0].text


def test_many_files_in_quarantine_are_found(database: Settings, sink: BatchSink) -> None:
    sink.write(batch(footer(1, 0, "gzip_damaged"), footer(2, 0, "unreadable")), spark_batch_id=0)
    settings = database.model_copy(update={"alert_quarantined_files": 2})
    assert diagnose_refusals(database.dsn("ops"), settings) == []
    settings = database.model_copy(update={"alert_quarantined_files": 1})
    (finding,) = diagnose_refusals(database.dsn("ops"), settings)
    assert finding.code == "quarantine_spike"
    assert "2 files of the last ten minutes went to quarantine; limit 1" in finding.text
    assert "1 gzip_damaged: The gzip stream is truncated or damaged." in finding.text
    query(database, "UPDATE shop.files SET finished_at = finished_at - interval '11 min' RETURNING 1")
    assert diagnose_refusals(database.dsn("ops"), settings) == []


def test_a_delivery_with_many_conflicts_is_found(database: Settings) -> None:
    """If an id is used for two purchases, the second one is lost, and the finding says what it was worth."""
    first = valid_row(unit_price="19.90", quantity="2")
    others = [
        {**first, "order_id": "O2", "unit_price": "500.00", "quantity": "1"},
        {**first, "order_id": "O3", "unit_price": "0.50", "quantity": "1"},
        {**first, "order_id": "O4", "unit_price": "7.00", "currency": "GBP"},
        {**first, "event_type": "view"},
    ]
    with pipeline(database) as stream:
        stream.load(("ids.csv", csv_text([first, *others])))
        # Repeated equal events are no conflict, and one conflict in two hundred rows is below the limit.
        stream.load(csv_text([first] * 300), csv_text([valid_row(), *[first] * 198, others[0]]))
    (finding,) = diagnose_refusals(database.dsn("ops"), database)
    assert (finding.code, finding.severity) == ("conflict_share", "warning")
    assert "4 of 5 rows of file 1 (ids.csv). Limit 1.0% of a delivery" in finding.text
    assert "Their purchases are worth 500.50 EUR and 14.00 GBP, none of it stored" in finding.text
    strict = database.model_copy(update={"alert_conflict_share": 0.001})
    (finding,) = diagnose_refusals(database.dsn("ops"), strict)
    assert "; 1 of 200 rows of file 3 (" in finding.text
    lenient = database.model_copy(update={"alert_conflict_share": 0.8})
    assert diagnose_refusals(database.dsn("ops"), lenient) == []
    query(database, "UPDATE shop.conflicts SET found_at = found_at - interval '11 min' RETURNING 1")
    assert diagnose_refusals(database.dsn("ops"), strict) == []


def test_a_disk_with_little_free_space_is_found(database: Settings) -> None:
    assert diagnose_disks(database.model_copy(update={"min_free_gib": 0})) == []
    (finding,) = diagnose_disks(database.model_copy(update={"min_free_gib": 1e9}))
    assert (finding.code, finding.severity) == ("low_disk", "warning")
    assert "below the limit of 1e+09 GiB (SHOPSTREAM_MIN_FREE_GIB)" in finding.text
