"""Tests of the stream's alerts on faulty files, on repeated names, and on files changed after pick-up."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.settings import Settings
from include.stream.storage.sink import BatchSink
from tests.support.csv_files import deliver
from tests.support.stream import admission_of
from tests.support.validated import batch, footer, query, typed_row

ALERTS = "SELECT severity, source, title, detail FROM shop.alerts ORDER BY alert_id"


def admit(database: Settings, sink: BatchSink, *names: str) -> list[int]:
    """Deliver more files, one after the other; return their ids."""
    admission = admission_of(database, sink.epoch)
    for name in names:
        deliver(Path(sink.landing.incoming), "", name)
        admission.next_batch()
    admission.close()
    newest = query(database, f"SELECT file_id FROM shop.files ORDER BY file_id DESC LIMIT {len(names)}")
    return [file_id for (file_id,) in reversed(newest)]


def test_one_alert_names_the_files_of_one_fault(database: Settings, sink: BatchSink) -> None:
    sink.write(batch(footer(1, 0, "gzip_damaged"), footer(2, 0, "gzip_damaged")), spark_batch_id=0)
    ((severity, source, title, detail),) = query(database, ALERTS)
    assert (severity, source, title) == ("warning", "stream", "files are in quarantine: gzip_damaged")
    for file_id in (1, 2):
        (path,) = Path(sink.landing.quarantine).glob(f"*/{file_id}-{file_id}.csv")
        assert f"- file {file_id} ({file_id}.csv), in {path}: it is broken" in detail
    assert "Compress and deliver it again." in detail


def test_many_bad_files_raise_one_alert_per_fault(
    database: Settings, sink: BatchSink, caplog: pytest.LogCaptureFixture
) -> None:
    sink.write(batch(footer(1, 0, "gzip_damaged")), spark_batch_id=0)
    (third,) = admit(database, sink, "third.csv")
    sink.write(batch(footer(2, 0, "gzip_damaged"), footer(third, 0, "unreadable")), spark_batch_id=1)
    assert [title for _, _, title, _ in query(database, ALERTS)] == [
        "files are in quarantine: gzip_damaged",
        "files are in quarantine: unreadable",
    ]
    assert "file 2 (2.csv)" in caplog.text
    query(database, "UPDATE shop.alerts SET raised_at = raised_at - interval '11 minutes' RETURNING 1")
    (fourth,) = admit(database, sink, "fourth.csv")
    sink.write(batch(footer(fourth, 0, "gzip_damaged")), spark_batch_id=2)
    assert "fourth.csv" in query(database, ALERTS)[-1][3]


def test_the_same_name_with_other_content_raises_an_alert_and_both_are_loaded(
    database: Settings, sink: BatchSink
) -> None:
    sink.write(batch(typed_row(1, 2), footer(1, 1, digest="aa")), spark_batch_id=0)
    (again,) = admit(database, sink, "1.csv")
    sink.write(batch(typed_row(again, 2), footer(again, 1, digest="bb"), footer(2, 0, digest="bb")), spark_batch_id=1)
    ((severity, _, title, detail),) = query(database, ALERTS)
    assert (severity, title) == ("warning", "files came again under the same name, with other content")
    assert f"- file {again} (1.csv) differs from file 1, admitted at 20" in detail
    assert query(database, "SELECT count(*) FROM shop.events") == [(2,)]


def test_the_same_content_again_raises_no_alert(database: Settings, sink: BatchSink) -> None:
    row = typed_row(1, 2)
    sink.write(batch(row, footer(1, 1, digest="aa")), spark_batch_id=0)
    same_name, other_name = admit(database, sink, "1.csv", "other.csv")
    rows = [{**row, "file_id": file_id} for file_id in (same_name, other_name)]
    again = batch(rows[0], footer(same_name, 1, digest="aa"), rows[1], footer(other_name, 1, digest="aa"))
    result = sink.write(again, spark_batch_id=1)
    assert result is not None
    assert (result.accepted, result.duplicate) == (0, 2)
    assert query(database, ALERTS) == []


def test_two_contents_of_one_name_in_one_batch_raise_an_alert(database: Settings, sink: BatchSink) -> None:
    (again,) = admit(database, sink, "1.csv")
    sink.write(batch(footer(1, 0, digest="aa"), footer(again, 0, digest="bb")), spark_batch_id=0)
    assert len(query(database, ALERTS)) == 1


def test_a_file_that_grew_after_it_was_read_raises_an_alert(database: Settings, sink: BatchSink) -> None:
    path = sink.landing.admitted_path(sink.epoch, 1, "1.csv")
    read_bytes = path.stat().st_size
    with path.open("a") as late_writer:
        late_writer.write("more,\n")
    other_bytes = sink.landing.admitted_path(sink.epoch, 2, "2.csv").stat().st_size
    sink.write(
        batch(typed_row(1, 2), footer(1, 1, size_bytes=read_bytes), footer(2, 0, size_bytes=other_bytes)),
        spark_batch_id=0,
    )
    ((severity, _, title, detail),) = query(database, ALERTS)
    assert (severity, title) == ("warning", "files were changed after pick-up")
    (archived,) = Path(sink.landing.archive).glob("*/1-1.csv")
    assert f"file 1 (1.csv), now {archived}: appended to after pick-up: 6 bytes were not loaded" in detail
    assert "2.csv" not in detail


def test_a_file_that_grew_before_it_was_read_raises_no_alert(database: Settings, sink: BatchSink) -> None:
    path = sink.landing.admitted_path(sink.epoch, 1, "1.csv")
    with path.open("a") as late_writer:
        late_writer.write("more,\n")
    sink.write(batch(typed_row(1, 2), footer(1, 1, size_bytes=path.stat().st_size)), spark_batch_id=0)
    assert query(database, ALERTS) == []
    assert query(database, "SELECT size_bytes FROM shop.files WHERE file_id = 1") == [
        (next(Path(sink.landing.archive).glob("*/1-1.csv")).stat().st_size,)
    ]


def test_a_file_that_was_removed_after_it_was_read_counts_as_loaded(database: Settings, sink: BatchSink) -> None:
    sink.landing.admitted_path(sink.epoch, 1, "1.csv").unlink()
    sink.write(batch(typed_row(1, 2), footer(1, 1, size_bytes=5)), spark_batch_id=0)
    assert query(database, "SELECT state FROM shop.files WHERE file_id = 1") == [("loaded",)]
    assert query(database, ALERTS) == []
