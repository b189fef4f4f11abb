"""Tests of admission with real PostgreSQL and folders: which files are admitted, in which order and batches."""

from __future__ import annotations

import gzip
import os
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from include.db import transaction
from include.errors import FencedError, PlatformError
from include.settings import Settings
from include.stream.intake.admission import MAX_ATTEMPTS, MAX_DEATHS_ALONE, Admission, note_failure
from include.stream.intake.landing import Landing
from tests.support.csv_files import csv_text, deliver, valid_row
from tests.support.stream import admission_of, next_epoch
from tests.support.waiting import wait_until


def query(settings: Settings, sql: str) -> list[tuple[Any, ...]]:
    with transaction(settings.dsn("owner")) as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall()) if cursor.description else []


def finish_waiting(settings: Settings, file_ids: list[int]) -> None:
    """Mark files as loaded, as the sink does."""
    ids = ", ".join(map(str, file_ids))
    query(settings, f"UPDATE shop.files SET state = 'loaded', finished_at = now() WHERE file_id IN ({ids})")


def ids(admission: Admission) -> list[int]:
    """Return the ids of the files in the next batch."""
    return [file.file_id for file in admission.next_batch()]


@pytest.fixture
def landing(database: Settings) -> Path:
    Landing.of(database).make()
    return database.landing_dir


@pytest.fixture
def admission(database: Settings, landing: Path) -> Iterator[Admission]:
    """Yield the admission of the current epoch."""
    admission = admission_of(database, next_epoch(database), max_files=100)
    yield admission
    admission.close()


def test_an_old_epoch_cannot_admit(database: Settings, landing: Path, admission: Admission) -> None:
    next_epoch(database)
    deliver(landing, csv_text([valid_row()]))
    with pytest.raises(FencedError):
        admission.next_batch()
    assert query(database, "SELECT count(*) FROM shop.files") == [(0,)]
    assert len(list(landing.iterdir())) == 1


def test_files_are_admitted_in_order_of_arrival_whatever_their_times(
    database: Settings, landing: Path, admission: Admission
) -> None:
    tick = landing / ".tick"
    for name, days in (("z.csv", 8), ("a.csv", -8), ("m.csv", 26_000)):
        hidden = landing / f".{name}"
        hidden.write_text("")
        moment = 1_795_000_000 + days * 86_400
        os.utime(hidden, (moment, moment))
        hidden.rename(landing / name)
        # The next file must arrive at a later tick of the file system's clock.
        arrived_at = (landing / name).stat().st_ctime_ns
        wait_until(partial(_has_ticked, tick, arrived_at), seconds=5, what="the clock to tick")
    admission.next_batch()
    assert query(database, "SELECT name FROM shop.files ORDER BY file_id") == [("z.csv",), ("a.csv",), ("m.csv",)]


def test_a_batch_begins_when_its_file_arrives(database: Settings, landing: Path) -> None:
    admission = admission_of(database, next_epoch(database), max_files=100)
    assert admission.next_batch() == []
    admission.timeout_seconds = 60
    delivery = threading.Timer(0.3, deliver, [landing, csv_text([valid_row()])])
    began = time.monotonic()
    delivery.start()
    try:
        assert len(admission.next_batch()) == 1
    finally:
        delivery.join()
        admission.close()
    assert 0.3 <= time.monotonic() - began < 30


def _has_ticked(path: Path, since_ns: int) -> bool:
    """Return whether a file that is written now gets a later time than ``since_ns``."""
    path.write_text("")
    return path.stat().st_ctime_ns > since_ns


def test_a_file_is_not_admitted_while_it_is_being_written(
    database: Settings, landing: Path, admission: Admission
) -> None:
    with (landing / "slow.csv").open("w") as writer:
        writer.write("half")
        writer.flush()
        deliver(landing, csv_text([valid_row()]), "whole.csv")
        assert ids(admission) == [1]
    finish_waiting(database, [1])
    assert ids(admission) == [2]
    assert query(database, "SELECT name FROM shop.files ORDER BY file_id") == [("whole.csv",), ("slow.csv",)]


def test_a_batch_is_bounded_by_the_uncompressed_size_of_its_files(
    database: Settings, landing: Path, admission: Admission
) -> None:
    content = csv_text([valid_row()] * 2000).encode()
    for number in range(3):
        deliver(landing, gzip.compress(content), f"packed-{number}.csv.gz")
    admission.max_bytes = 2 * len(content) + 1
    assert ids(admission) == [1, 2]
    assert query(database, "SELECT DISTINCT unpacked_bytes FROM shop.files") == [(len(content),)]


def test_a_large_file_takes_a_slice_of_each_batch_and_lets_others_through(
    database: Settings, landing: Path, admission: Admission
) -> None:
    deliver(landing, b"x" * 3_000_000, "large.csv")
    admission.next_batch()
    deliver(landing, csv_text([valid_row()]), "small.csv")
    query(database, "UPDATE shop.files SET slices = 1, next_byte = 1000000, next_line = 77, attempts = 0")
    large, small = admission.next_batch()
    assert (large.size_bytes, large.start.byte, large.start.line) == (admission.slice_bytes, 1_000_000, 77)
    assert (small.file_id, small.start.byte, small.start.line) == (2, 0, 1)


def test_a_driver_completes_the_moves_of_a_dead_one(database: Settings, landing: Path) -> None:
    """One file, whose name is not UTF-8, is admitted but not moved in; another is loaded but not moved out."""
    strange = os.fsdecode(b"caf\xe9 '; DROP\n%2F.csv")
    for name in (strange, "loaded.csv"):
        deliver(landing, csv_text([valid_row()]), name)
    before = admission_of(database, next_epoch(database))
    before.next_batch()
    before.close()
    names = dict(query(database, "SELECT name, file_id FROM shop.files"))
    admitted = database.admitted_dir / str(before.epoch)
    (admitted / f"{names[os.fsencode(strange).decode('utf-8', 'backslashreplace')]}.csv").rename(landing / strange)
    finish_waiting(database, [names["loaded.csv"]])
    (database.admitted_dir / ".foreign").touch()

    admission = admission_of(database, next_epoch(database))
    admission.recover()
    (waiting,) = admission.next_batch()
    admission.close()
    assert Path(waiting.path).exists()
    assert {path.name for path in database.admitted_dir.iterdir()} == {".foreign", str(admission.epoch)}
    assert [path.name for path in Path(waiting.path).parent.iterdir()] == [Path(waiting.path).name]
    assert [path.name for path in database.archive_dir.glob("*/*")] == [f"{names['loaded.csv']}-loaded.csv"]


def test_a_wrong_folder_is_not_mistaken_for_an_empty_one(database: Settings, landing: Path) -> None:
    """A driver that starts on a machine without the shared storage sees such a folder."""
    deliver(landing, csv_text([valid_row()]), "waiting.csv")
    before = admission_of(database, next_epoch(database))
    before.recover()
    assert ids(before) == [1]
    before.close()
    away = database.admitted_dir.with_name("away")
    database.admitted_dir.rename(away)

    admission = admission_of(database, next_epoch(database), takes_over=False)
    with pytest.raises(PlatformError, match=r"1 admitted files \('waiting.csv', …\) are not in .* Mount the storage"):
        admission.recover()
    with pytest.raises(PlatformError, match=f"does not see the admitted files of epoch {before.epoch} .* same path"):
        admission.landing.check_reached(before.epoch)
    assert query(database, "SELECT state FROM shop.files") == [("admitted",)]

    database.admitted_dir.rmdir()
    away.rename(database.admitted_dir)
    admission.recover()
    admission.landing.check_reached(admission.epoch)
    with pytest.raises(PlatformError):
        admission.landing.check_reached(before.epoch)
    assert ids(admission) == [1]
    admission.close()


def test_files_that_were_removed_on_purpose_are_reported(database: Settings, landing: Path) -> None:
    deliver(landing, csv_text([valid_row()]), "removed.csv")
    before = admission_of(database, next_epoch(database))
    before.recover()
    (file,) = before.next_batch()
    before.close()
    Path(file.path).unlink()
    admission = admission_of(database, next_epoch(database))
    admission.recover()
    assert ids(admission) == [1]
    admission.close()


def test_intake_pauses_while_a_disk_is_nearly_full(database: Settings, landing: Path, admission: Admission) -> None:
    deliver(landing, csv_text([valid_row()]))
    admission.disks, admission.pause_below_gib = (landing,), 1e6
    assert admission.next_batch() == []
    ((paused, files),) = query(database, "SELECT paused, backlog_files FROM shop.runs")
    assert "GiB are free" in paused
    assert "below the limit of 1e+06 GiB (SHOPSTREAM_PAUSE_BELOW_GIB). Free some space" in paused
    assert files == 1

    admission.pause_below_gib = 0.0
    wait_until(admission.next_batch, seconds=10, what="intake to resume")


def fail_until(database: Settings, admission: Admission, poison: set[int], *, says_so: bool) -> list[list[int]]:
    """Load the waiting files with a stream that fails on some of them; return the batches that were tried."""
    tried = []
    while batch := ids(admission):
        tried.append(batch)
        if not poison & set(batch):
            finish_waiting(database, batch)
        elif says_so:
            note_failure(database.dsn("ingest"), "events", admission.epoch, "ValueError: no")
    return tried


def test_a_poison_batch_is_halved_down_to_the_file(database: Settings, landing: Path, admission: Admission) -> None:
    for number in range(8):
        deliver(landing, csv_text([valid_row()]), f"{number}.csv")
    tried = fail_until(database, admission, {6}, says_so=True)
    everything = [1, 2, 3, 4, 5, 6, 7, 8]
    assert tried == [everything, everything, [1, 2, 3, 4], [5, 6, 7, 8], [5, 6], [5], [6], [7, 8]]
    assert query(database, "SELECT file_id, fault, fault_detail FROM shop.files WHERE state = 'quarantined'") == [
        (6, "poison", "ValueError: no")
    ]
    assert query(database, "SELECT count(*) FROM shop.files WHERE state = 'loaded'") == [(7,)]
    assert [path.name for path in database.quarantine_dir.glob("*/*")] == ["6-5.csv"]
    assert query(database, "SELECT severity, source FROM shop.alerts") == [("warning", "stream")]


def test_deaths_of_the_driver_are_blamed_on_a_file_only_after_all_attempts(
    database: Settings, landing: Path, admission: Admission
) -> None:
    for number in range(2):
        deliver(landing, csv_text([valid_row()]), f"{number}.csv")
    tried = fail_until(database, admission, {1}, says_so=False)
    assert tried.count([1, 2]) == MAX_ATTEMPTS
    assert tried.count([1]) == MAX_DEATHS_ALONE - MAX_ATTEMPTS + 1
    assert query(database, "SELECT state, fault, fault_detail FROM shop.files ORDER BY file_id") == [
        ("quarantined", "poison", f"the driver died {MAX_DEATHS_ALONE} times while it loaded this file alone"),
        ("loaded", None, None),
    ]


def test_a_retried_batch_does_not_grow(database: Settings, landing: Path, admission: Admission) -> None:
    deliver(landing, csv_text([valid_row()]))
    assert ids(admission) == [1]
    deliver(landing, csv_text([valid_row()]))
    assert ids(admission) == [1]
    finish_waiting(database, [1])
    assert ids(admission) == [2]


def test_thousands_of_files_are_listed_once(database: Settings, landing: Path, admission: Admission) -> None:
    for number in range(2500):
        (landing / f"{number}.csv").touch()
    admission.max_files = 10_000
    assert len(admission.next_batch()) == 2000
    (landing / "later.csv").touch()
    admission.next_batch()
    assert query(database, "SELECT count(*) FROM shop.files") == [(2500,)]
    admission.next_batch()
    assert query(database, "SELECT count(*), max(name) FROM shop.files") == [(2501, "later.csv")]
