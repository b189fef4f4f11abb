"""Tests of the driver's query under faults, with real Spark, real PostgreSQL and the runner of the job."""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from include.db import transaction
from include.settings import Settings
from include.stream.intake.admission import MAX_FAILURES
from include.stream.intake.landing import Landing
from include.stream.supervision.epoch import Driver
from include.stream.supervision.status import set_desired_state
from jobs.runner import QueryRunner
from tests.support.csv_files import csv_text, deliver, valid_row
from tests.support.postgres import cut_connections, database_away
from tests.support.stream import next_epoch
from tests.support.waiting import wait_until


def rows(settings: Settings, sql: str) -> list[tuple[Any, ...]]:
    with transaction(settings.dsn("owner")) as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall()) if cursor.description else []


class Running:
    """A runner in its own thread."""

    def __init__(self, spark: SparkSession, settings: Settings) -> None:
        self.settings = settings
        self._stop_requested = threading.Event()
        self._runner = QueryRunner(spark, settings, Driver("continuous", "test", 1), self._stop_requested)
        self._thread = threading.Thread(target=self._runner.run)

    @contextmanager
    def while_running(self) -> Iterator[Running]:
        """Run until the end of the block."""
        self._thread.start()
        try:
            yield self
        finally:
            self._stop_requested.set()
            self._thread.join(60)

    @property
    def has_ended(self) -> bool:
        return not self._thread.is_alive()

    def load(self, *texts: str) -> None:
        """Deliver files and wait until they are loaded."""
        names = [deliver(self.settings.landing_dir, text) for text in texts]
        wanted = "', '".join(names)
        finished = f"SELECT count(*) FROM shop.files WHERE name IN ('{wanted}') AND state <> 'admitted'"
        wait_until(lambda: rows(self.settings, finished) == [(len(names),)], seconds=60, what="files to be loaded")


@pytest.fixture
def running(spark: SparkSession, database: Settings) -> Iterator[Running]:
    Landing.of(database).make()
    with Running(spark, database).while_running() as running:
        running.load(csv_text([valid_row()]))
        yield running


def count_events(settings: Settings) -> int:
    ((count,),) = rows(settings, "SELECT count(*) FROM shop.events")
    return int(count)


def test_the_stream_survives_an_outage_of_the_database(running: Running, database: Settings) -> None:
    with database_away(database):
        deliver(database.landing_dir, csv_text([valid_row()]))
    running.load(csv_text([valid_row()]))
    wait_until(lambda: count_events(database) == 3, seconds=30, what="the file delivered during the outage")
    errors = [error for (error,) in rows(database, "SELECT error FROM shop.runs ORDER BY epoch")]
    # Each start of the query is a separate run, and only the last one is still running.
    assert len(errors) >= 2
    assert errors[-1] is None
    assert None not in errors[:-1]
    # The outage is not blamed on any file.
    assert rows(database, "SELECT sum(failures) FROM shop.files") == [(0,)]


def test_the_stream_survives_cut_connections(running: Running, database: Settings) -> None:
    for number in range(3):
        cut_connections(database, "shop_ingest")
        running.load(csv_text([valid_row()]))
        assert count_events(database) == number + 2


def test_the_stream_survives_a_lost_checkpoint(running: Running, database: Settings) -> None:
    # Spark writes a batch's commit file after the ledger has the batch, perhaps while its directory is removed.
    wait_until(lambda: _is_removed(database.checkpoint_dir), seconds=30, what="the checkpoint to be gone")
    running.load(csv_text([valid_row()]))
    (checkpoint,) = database.checkpoint_dir.iterdir()
    for path in (checkpoint / "offsets").glob("[0-9]*"):
        path.write_text("")
    running.load(csv_text([valid_row()]))
    assert count_events(database) == 3


@pytest.mark.parametrize("folder", ["checkpoint_dir", "archive_dir"])
def test_a_broken_folder_is_not_blamed_on_a_file(running: Running, database: Settings, folder: str) -> None:
    """A file takes the place of the folder, so every access fails with an error of the operating system."""
    place: Path = getattr(database, folder)
    aside = place.with_name("aside")
    failures = "SELECT count(*) FROM shop.runs WHERE error IS NOT NULL"

    # Spark writes into the checkpoint while it is being removed, which creates it again.
    def is_replaced() -> bool:
        if place.is_dir():
            place.rename(aside / str(time.monotonic_ns()))
        with contextlib.suppress(FileExistsError):
            place.touch(exist_ok=False)
        return place.is_file()

    aside.mkdir()
    wait_until(is_replaced, seconds=30, what="a file in the place of the folder")
    name = deliver(database.landing_dir, csv_text([valid_row()]), "innocent.csv")
    # Wait for twice the failures after which a file that fails alone counts as poison.
    wait_until(lambda: rows(database, failures) >= [(2 * MAX_FAILURES,)], seconds=120, what="the query to fail again")
    place.unlink()
    if folder == "archive_dir":
        next(aside.iterdir()).rename(place)
    running.load(csv_text([valid_row()]))
    wait_until(lambda: count_events(database) == 3, seconds=60, what="the innocent file")
    assert rows(database, "SELECT DISTINCT state, fault, failures FROM shop.files") == [("loaded", None, 0)]
    wait_until(lambda: list(database.archive_dir.glob(f"*/*-{name}")), seconds=30, what="the file to be archived")


def test_a_file_that_cannot_be_loaded_is_found_and_the_others_go_on(running: Running, database: Settings) -> None:
    rows(database, "ALTER TABLE shop.events ADD CONSTRAINT test CHECK (brand <> 'Poison') NOT VALID")
    deliver(database.landing_dir, csv_text([valid_row()]))
    deliver(database.landing_dir, csv_text([valid_row(brand="Poison")]), "poison.csv")
    running.load(*(csv_text([valid_row()]) for _ in range(5)))
    wait_until(lambda: count_events(database) == 7, seconds=60, what="the other files")
    assert rows(database, "SELECT name, fault FROM shop.files WHERE state <> 'loaded'") == [("poison.csv", "poison")]
    ((detail,),) = rows(database, "SELECT fault_detail FROM shop.files WHERE fault IS NOT NULL")
    assert "CheckViolation" in detail
    assert len(list(database.quarantine_dir.glob("*/*-poison.csv"))) == 1


def test_a_fenced_driver_ends_and_does_not_restart(running: Running, database: Settings) -> None:
    epoch = next_epoch(database)
    deliver(database.landing_dir, csv_text([valid_row()]))
    wait_until(lambda: running.has_ended, seconds=60, what="the older driver to end")
    assert rows(database, "SELECT epoch FROM shop.writer") == [(epoch,)]
    assert count_events(database) == 1


def test_the_desired_state_stop_ends_the_query(running: Running, database: Settings) -> None:
    set_desired_state(database.dsn("ops"), "stop")
    wait_until(lambda: running.has_ended, seconds=60, what="the stream to end")
    assert rows(database, "SELECT error FROM shop.runs WHERE ended_at IS NOT NULL ORDER BY epoch DESC LIMIT 1") == [
        (None,)
    ]


def _is_removed(path: Path) -> bool:
    shutil.rmtree(path, ignore_errors=True)
    return not path.exists()
