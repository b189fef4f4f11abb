"""More rejected rows or quarantined files than usual are found, with the limit and the reason; the usual are not."""

from __future__ import annotations

import pytest

from include.settings import Settings
from include.stream.disk import judge_disks
from include.stream.quarantine import FEWEST_ROWS, judge_quarantine
from include.stream.sink import BatchSink
from tests.support.judged import batch, footer, query
from tests.support.rows import load_batch, make_event


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
def test_a_share_of_rejected_rows(
    database: Settings, read: int, rejected: int, minutes_ago: int, is_found: bool
) -> None:
    reject(database, read=read, rejected=rejected, minutes_ago=minutes_ago)
    findings = judge_quarantine(database.dsn("ops"), database)
    assert [one.code for one in findings] == (["reject_share"] if is_found else [])
    if is_found:
        assert "201 of 1,000 rows of the last ten minutes were rejected, 20%; limit 20%" in findings[0].text


def test_files_in_quarantine(database: Settings, sink: BatchSink) -> None:
    sink.write(batch(footer(1, 0, "gzip_damaged"), footer(2, 0, "unreadable")), spark_batch_id=0)
    settings = database.model_copy(update={"alert_quarantined_files": 2})
    assert judge_quarantine(database.dsn("ops"), settings) == []
    settings = database.model_copy(update={"alert_quarantined_files": 1})
    (finding,) = judge_quarantine(database.dsn("ops"), settings)
    assert finding.code == "quarantine_spike"
    assert "2 files of the last ten minutes went to quarantine; limit 1" in finding.text
    assert "1 gzip_damaged: The gzip stream is truncated or damaged." in finding.text
    query(database, "UPDATE shop.files SET settled_at = settled_at - interval '11 min' RETURNING 1")
    assert judge_quarantine(database.dsn("ops"), settings) == []


def test_a_disk_that_fills(database: Settings) -> None:
    assert judge_disks(database.model_copy(update={"min_free_gib": 0})) == []
    (finding,) = judge_disks(database.model_copy(update={"min_free_gib": 1e9}))
    assert (finding.code, finding.severity) == ("low_disk", "warning")
    assert "below the limit of 1e+09 GiB (SHOPSTREAM_MIN_FREE_GIB)" in finding.text
