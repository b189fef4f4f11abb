"""Tests of intake under faults, with real PostgreSQL and folders: late drivers, odd names, partly loaded files."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import psycopg2.errors
import pyarrow as pa
import pytest

from include.db import transaction
from include.settings import REPOSITORY, Settings
from include.stream.intake.admission import MAX_ATTEMPTS, MAX_DEATHS_ALONE, Admission, excuse_attempt
from include.stream.intake.landing import Landing
from include.stream.reading.csv_reader import read_file
from include.stream.storage.sink import BatchSink
from include.stream.supervision.status import stream_status
from include.stream.validation.validate import validate
from jobs.recovery import Cause, cause_of, reason_of
from tests.support.csv_files import csv_text, deliver, valid_row
from tests.support.postgres import superuser
from tests.support.stream import admission_of, next_epoch
from tests.support.validated import query
from tests.support.waiting import wait_until


def load(settings: Settings, admission: Admission) -> None:
    """Load the next batch as the job does, without Spark."""
    sink = BatchSink(settings.dsn("ingest"), admission.landing, admission.query, admission.epoch)
    limits = {"slice_bytes": admission.slice_bytes, "max_bytes": 2**30}
    parts = [
        batch
        for file in admission.next_batch()
        for batch in validate(read_file(Path(file.path), file.file_id, start=file.start, **limits))
    ]
    try:
        sink.write(
            [pa.Table.from_batches(parts)],
            spark_batch_id=int(query(settings, "SELECT count(*) FROM shop.batches")[0][0]),
        )
    finally:
        sink.close()


def loaded(settings: Settings) -> list[tuple[Any, ...]]:
    """Return the name, the state, the accepted rows and the stored events of every file."""
    return query(
        settings,
        "SELECT name, state, accepted, (SELECT count(*) FROM shop.events WHERE events.file_id = files.file_id) "
        "FROM shop.files ORDER BY file_id",
    )


# A driver that admits one file and stops itself (SIGSTOP) after the commit and before the rename.
_DRIVER = """
import os, signal, sys
from pathlib import Path
from include.stream.intake import admission as module
from include.stream.intake.landing import Landing

stops_after_look = sys.argv[8] == "after the look"
rename_new = module.rename_new

def stop_and_rename(source, target):
    if stops_after_look:
        os.kill(os.getpid(), signal.SIGSTOP)
    rename_new(source, target)

class Stopping(module.Admission):
    def _move_in(self, file_id, name, inode):
        if not stops_after_look:
            os.kill(os.getpid(), signal.SIGSTOP)
        super()._move_in(file_id, name, inode)

module.rename_new = stop_and_rename
driver = Stopping(sys.argv[1], Landing(*sys.argv[2:6]), "events", int(sys.argv[6]), 10, 2**20, 2**19)
driver.next_batch() if sys.argv[7] == "admit" else driver.recover()
"""


def start_driver(settings: Settings, epoch: int, stops: str) -> subprocess.Popen[bytes]:
    landing = Landing.of(settings)
    folders = [landing.incoming, landing.admitted, landing.archive, landing.quarantine]
    return subprocess.Popen(
        [sys.executable, "-c", _DRIVER, settings.dsn("ingest"), *folders, str(epoch), "admit", stops],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def is_stopped(process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, process.communicate()[0].decode()
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


@pytest.mark.parametrize("is_loaded_before", [True, False])
@pytest.mark.parametrize("stops", ["before the look", "after the look"])
def test_a_driver_that_resumes_late_replaces_no_file(database: Settings, stops: str, *, is_loaded_before: bool) -> None:
    landing = Landing.of(database)
    landing.make()
    old_epoch = next_epoch(database)
    landing.take_over(old_epoch)
    deliver(database.landing_dir, csv_text([valid_row() for _ in range(3)]), "events.csv")
    old = start_driver(database, old_epoch, stops)
    try:
        wait_until(lambda: is_stopped(old), seconds=60, what="the old driver to stop before its rename")
        assert loaded(database) == [("events.csv", "admitted", 0, 0)]

        new = admission_of(database, next_epoch(database), takes_over=False)
        new.recover()
        if is_loaded_before:
            load(database, new)
        deliver(database.landing_dir, csv_text([valid_row() for _ in range(5)]), "events.csv")
        os.kill(old.pid, signal.SIGCONT)
        output, _ = old.communicate(timeout=60)
        # The old driver ends at its next transaction.
        assert b"FencedError" in output
        assert (database.landing_dir / "events.csv").exists()
    finally:
        old.kill()
        old.wait()
    while not all(state == "loaded" for _, state, _, _ in loaded(database)) or landing_is_full(database):
        load(database, new)
    new.close()
    assert loaded(database) == [("events.csv", "loaded", 3, 3), ("events.csv", "loaded", 5, 5)]
    assert sorted(path.name for path in database.archive_dir.glob("*/*")) == ["1-events.csv", "2-events.csv"]
    assert landing.admitted_files() == []


def landing_is_full(settings: Settings) -> bool:
    return any(settings.landing_dir.iterdir())


def test_another_file_with_the_name_of_an_admitted_one_is_not_moved_in_its_place(database: Settings) -> None:
    """The file was removed between the commit and the rename, and another one arrived under its name."""
    landing = Landing.of(database)
    admission = admission_of(database, next_epoch(database))
    deliver(database.landing_dir, csv_text([valid_row()]), "events.csv")
    with transaction(database.dsn("owner")) as cursor:
        cursor.execute(
            "INSERT INTO shop.files (name, size_bytes, arrived_at, inode) VALUES ('events.csv', 1, now(), %s)",
            (2**64 - 1,),
        )
    admission.recover()
    assert landing.admitted_ids(admission.epoch) == []
    load(database, admission)
    admission.close()
    assert query(database, "SELECT name, state, fault, accepted FROM shop.files ORDER BY file_id") == [
        ("events.csv", "quarantined", "unreadable", 0),
        ("events.csv", "loaded", None, 1),
    ]


def test_files_that_an_earlier_release_admitted_are_found(database: Settings) -> None:
    """Earlier releases kept all files in one folder and recorded no inode."""
    landing = Landing.of(database)
    landing.make()
    with transaction(database.dsn("owner")) as cursor:
        for name in ("admitted.csv", "packed.csv.gz", "not moved yet.csv"):
            cursor.execute("INSERT INTO shop.files (name, size_bytes, arrived_at) VALUES (%s, 1, now())", (name,))
    text = csv_text([valid_row()])
    deliver(database.admitted_dir, text, "1.csv")
    deliver(database.admitted_dir, gzip.compress(csv_text([valid_row()]).encode()), "2.csv.gz")
    (database.admitted_dir / ".epoch-1").touch()
    deliver(database.landing_dir, csv_text([valid_row()]), "not moved yet.csv")
    admission = admission_of(database, next_epoch(database), takes_over=False)
    admission.recover()
    load(database, admission)
    admission.close()
    assert [row[1:] for row in loaded(database)] == [("loaded", 1, 1)] * 3
    assert [path.name for path in database.admitted_dir.iterdir()] == [str(admission.epoch)]


@pytest.mark.parametrize("name", ["\u6ce8" * 67 + ".csv", os.fsdecode(b"caf\xe9" * 60 + b".csv")])
def test_a_faulty_file_with_a_strange_name_is_quarantined_with_its_fault(database: Settings, name: str) -> None:
    admission = admission_of(database, next_epoch(database))
    deliver(database.landing_dir, "1,2,3\n", name)
    deliver(database.landing_dir, csv_text([valid_row()]), "good.csv")
    load(database, admission)
    admission.close()
    assert query(database, "SELECT state, fault FROM shop.files ORDER BY name = 'good.csv'") == [
        ("quarantined", "header_missing"),
        ("loaded", None),
    ]
    assert len(list(database.quarantine_dir.glob("*/*.csv"))) == 1
    assert "header_missing" in str(query(database, "SELECT title FROM shop.alerts"))


def test_errors_that_quote_a_strange_name_are_kept(database: Settings) -> None:
    admission = admission_of(database, next_epoch(database))
    deliver(database.landing_dir, csv_text([valid_row()]))
    admission.next_batch()
    error = "OSError: [Errno 5] Input/output error: " + os.fsdecode(b"caf\xe9\0")
    excuse_attempt(database.dsn("ingest"), "events", admission.epoch, error)
    admission.close()
    assert query(database, "SELECT last_error FROM shop.files") == [
        ("OSError: [Errno 5] Input/output error: caf\\xe9\\x00",)
    ]


def test_faults_of_the_surroundings_are_never_blamed_on_a_file(database: Settings) -> None:
    admission = admission_of(database, next_epoch(database))
    for _ in range(2):
        deliver(database.landing_dir, csv_text([valid_row()]))
    for _ in range(3 * (MAX_ATTEMPTS + MAX_DEATHS_ALONE)):
        assert [file.file_id for file in admission.next_batch()] == [1, 2]
        excuse_attempt(database.dsn("ingest"), "events", admission.epoch, "OSError: [Errno 116] Stale file handle")
    admission.close()
    assert query(database, "SELECT DISTINCT state, attempts, failures FROM shop.files") == [("admitted", 0, 0)]


def test_a_batch_gives_up_waiting_for_a_lock_before_its_driver_counts_as_stuck(database: Settings) -> None:
    ((allowed,),) = query(
        database,
        "SELECT extract(epoch FROM substring(one FROM '=(.+)')::interval) FROM pg_roles, unnest(rolconfig) AS one "
        "WHERE rolname = 'shop_ingest' AND one LIKE 'lock_timeout=%'",
    )
    assert allowed < Settings.model_fields["stall_seconds"].default
    admission = admission_of(database, next_epoch(database))
    deliver(database.landing_dir, csv_text([valid_row()]))
    with superuser(database) as cursor:
        cursor.execute(f"ALTER ROLE shop_ingest IN DATABASE {database.database_name} SET lock_timeout = '300ms'")
    with transaction(database.dsn("owner")) as cursor:
        cursor.execute("LOCK TABLE shop.events IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(psycopg2.errors.LockNotAvailable) as failure:
            load(database, admission)
    text = "".join(traceback.format_exception(failure.value))
    assert cause_of(text) is Cause.ENVIRONMENT
    excuse_attempt(database.dsn("ingest"), "events", admission.epoch, reason_of(text))
    load(database, admission)
    admission.close()
    assert query(database, "SELECT state, failures, accepted FROM shop.files") == [("loaded", 0, 1)]


def test_the_backlog_of_a_compressed_file_in_slices_is_what_remains(database: Settings) -> None:
    admission = admission_of(database, next_epoch(database))
    packed = gzip.compress(b"x" * 1_000_000)
    deliver(database.landing_dir, packed, "packed.csv.gz")
    admission.next_batch()
    with transaction(database.dsn("owner")) as cursor:
        cursor.execute("UPDATE shop.files SET slices = 1, next_byte = 750000, next_line = 2")
    admission._turn()
    assert stream_status(database.dsn("ops")).backlog_bytes == round(len(packed) / 4)
    with transaction(database.dsn("owner")) as cursor:
        # The trailer of a gzip file can state a smaller size than the real one.
        cursor.execute("UPDATE shop.files SET next_byte = 5000000")
    admission._turn()
    assert stream_status(database.dsn("ops")).backlog_bytes == 0
    admission.close()


def test_ignored_entries_are_shown_in_the_status(database: Settings) -> None:
    admission = admission_of(database, next_epoch(database), ignored_after_seconds=0.2)
    (database.landing_dir / "orders.tsv").write_text("rows")
    (database.landing_dir / os.fsdecode(b"caf\xe9.xlsx")).write_text("rows")

    def ignored() -> int:
        admission.next_batch()
        admission._turn()
        return stream_status(database.dsn("ops")).ignored_files

    wait_until(lambda: ignored() == 2, seconds=10, what="two ignored files")
    status = stream_status(database.dsn("ops"))
    assert set(status.ignored_examples) == {"orders.tsv", "caf\\xe9.xlsx"}
    assert status.ignored_since is not None
    for path in database.landing_dir.iterdir():
        path.unlink()
    wait_until(lambda: ignored() == 0, seconds=10, what="no ignored files")
    admission.close()
    status = stream_status(database.dsn("ops"))
    assert (status.ignored_since, status.ignored_examples) == (None, [])


def test_durations_are_recorded_once_per_batch(database: Settings, sink: BatchSink) -> None:
    with transaction(database.dsn("owner")) as cursor:
        cursor.execute(
            "INSERT INTO shop.batches"
            " (query, epoch, spark_batch_id, files, read, accepted, duplicate, rejected, started_at)"
            " VALUES ('events', %s, 4, 0, 0, 0, 0, 0, now())",
            (sink.epoch,),
        )
    version = "SELECT xmin::text, durations_ms FROM shop.batches"
    sink.record_durations(4, {"spark_addBatch": 1.0})
    ((first, durations),) = query(database, version)
    assert durations == {"spark_addBatch": 1.0}
    sink.record_durations(4, {"spark_addBatch": 1.0})
    assert query(database, version) == [(first, durations)]
