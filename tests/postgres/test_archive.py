"""Tests of file retention: files are removed at their age, unless they hold data that is stored nowhere else."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path

import pytest

from include.db import archive as pruning
from include.db import transaction
from include.db.archive import prune
from include.settings import Settings
from tests.support.stream import next_epoch
from tests.support.validated import query

HOUR = timedelta(hours=1).total_seconds()


def aged(database: Settings, **ages: int) -> Settings:
    """Return the same instance with other ages."""
    return database.model_copy(update=ages)


def removed(settings: Settings, now: float) -> dict[str, tuple[int, int]]:
    """Run the removal as of ``now``; return the removed files and bytes by directory."""
    pruned = prune(settings, settings.dsn("ops"), now=now)
    return {one.directory.name: (one.files, one.size_bytes) for one in pruned if one.files}


def test_files_are_removed_at_their_age(database: Settings) -> None:
    settings = aged(database, archive_hours=1, retention_days=2)
    kept_longer = (settings.manifest_dir, settings.quarantine_dir, settings.task_log_dir)
    for directory in (settings.archive_dir / "2026112009", *kept_longer):
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "file.csv").write_bytes(b"12345")
    now = time.time()
    assert removed(settings, now + 0.9 * HOUR) == {}
    assert removed(settings, now + 1.1 * HOUR) == {"landing-archive": (1, 5)}
    assert removed(settings, now + 49 * HOUR) == {directory.name: (1, 5) for directory in kept_longer}
    assert not list(settings.archive_dir.iterdir())
    assert all(directory.is_dir() for directory in kept_longer)


def test_an_old_file_that_was_loaded_today_stays(database: Settings) -> None:
    database.archive_dir.mkdir(parents=True, exist_ok=True)
    path = database.archive_dir / "backfill.csv"
    path.write_bytes(b"")
    os.utime(path, (0, 0))
    prune(database, database.dsn("ops"))
    assert path.exists()


def archive(settings: Settings, name: str, content: bytes, *, read_bytes: int) -> Path:
    """Archive a file of which ``read_bytes`` bytes were read, according to the ledger."""
    with transaction(settings.dsn("owner")) as cursor:
        cursor.execute(
            "INSERT INTO shop.files (name, state, size_bytes, arrived_at, finished_at) "
            "VALUES (%s, 'loaded', %s, now(), now()) RETURNING file_id",
            (name, read_bytes),
        )
        (file_id,) = cursor.fetchone()
    folder = settings.archive_dir / "2026112009"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{file_id}-{name}"
    path.write_bytes(content)
    return path


def test_a_partly_read_file_is_moved_to_quarantine_and_reported(database: Settings) -> None:
    settings = aged(database, archive_hours=1, retention_days=2)
    whole = archive(settings, "whole.csv", b"12345", read_bytes=5)
    grown = archive(settings, "grown.csv", b"1234567", read_bytes=5)
    now = time.time() + 2 * HOUR
    assert removed(settings, now) == {"landing-archive": (1, 5)}
    assert not whole.exists()
    rescued = settings.quarantine_dir / "2026112009" / grown.name
    assert rescued.read_bytes() == b"1234567"
    ((title, detail),) = query(database, "SELECT title, detail FROM shop.alerts")
    assert title == "1 archived files were changed after pick-up and moved to quarantine"
    assert f"(grown.csv), now {rescued}: of 7 bytes, 5 were read" in detail
    assert removed(settings, now) == {}, "the file is reported only once"
    assert query(database, "SELECT count(*) FROM shop.alerts") == [(1,)]


def test_a_partly_read_file_never_replaces_a_quarantined_one(database: Settings) -> None:
    settings = aged(database, archive_hours=1, retention_days=2)
    grown = archive(settings, "grown.csv", b"1234567", read_bytes=5)
    earlier = settings.quarantine_dir / "2026112009" / grown.name
    earlier.parent.mkdir(parents=True)
    earlier.write_bytes(b"earlier")
    removed(settings, time.time() + 2 * HOUR)
    assert sorted(path.read_bytes() for path in earlier.parent.iterdir()) == [b"1234567", b"earlier"]


def test_directories_of_old_drivers_are_removed_and_those_of_the_newest_runs_stay(database: Settings) -> None:
    settings = aged(database, retention_days=2)
    work = settings.root / "spark" / "work"
    for name in ("driver-20261101000000-0000", "driver-20261101000000-0001"):
        (work / name).mkdir(parents=True)
        (work / name / "stderr").write_bytes(b"123")
    epoch = next_epoch(database)
    with transaction(database.dsn("owner")) as cursor:
        running = work / "driver-20261101000000-0001"
        cursor.execute("UPDATE shop.runs SET log_path = %s WHERE epoch = %s", (str(running), epoch))
    now = time.time()
    assert removed(settings, now + 47 * HOUR) == {}
    assert removed(settings, now + 49 * HOUR) == {"work": (1, 3)}
    assert [path.name for path in work.iterdir()] == [running.name]


def test_long_output_of_a_driver_is_shortened_while_it_writes(
    database: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "_LONGEST_OUTPUT_BYTES", 1000)
    monkeypatch.setattr(pruning, "_KEPT_OUTPUT_BYTES", 100)
    driver = database.root / "spark" / "work" / "driver-20261101000000-0002"
    driver.mkdir(parents=True)
    (driver / "stderr").write_bytes(b"short")
    # The Spark worker appends in this way.
    with (driver / "stdout").open("ab", buffering=0) as output:
        output.write(b"x" * 1000 + b"y" * 100)
        prune(database, database.dsn("ops"))
        output.write(b"goes on")
    assert (driver / "stdout").read_bytes() == b"goes on"
    assert (driver / "stdout.before").read_bytes() == b"y" * 100
    assert (driver / "stderr").read_bytes() == b"short"


def test_logs_of_the_dag_processor_are_removed_at_their_age(database: Settings) -> None:
    settings = aged(database, retention_days=2)
    logs = settings.log_dir / "dags" / "2026-11-01"
    logs.mkdir(parents=True)
    (logs / "watch_stream.py.log").write_bytes(b"123")
    assert removed(settings, time.time() + 47 * HOUR) == {}
    assert removed(settings, time.time() + 49 * HOUR) == {"dags": (1, 3)}
