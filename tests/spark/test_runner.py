"""The driver's query through faults: real Spark, real PostgreSQL, the runner of the job."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from include.db import transaction
from include.settings import Settings
from include.stream.epoch import Driver
from include.stream.landing import Landing
from include.stream.status import set_wish
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
    """A runner in a thread of its own."""

    def __init__(self, spark: SparkSession, settings: Settings) -> None:
        self.settings = settings
        self._told_to_stop = threading.Event()
        self._runner = QueryRunner(spark, settings, Driver("continuous", "test", 1), self._told_to_stop)
        self._thread = threading.Thread(target=self._runner.run)

    @contextmanager
    def while_running(self) -> Iterator[Running]:
        """Until the end of the block."""
        self._thread.start()
        try:
            yield self
        finally:
            self._told_to_stop.set()
            self._thread.join(60)

    @property
    def has_ended(self) -> bool:
        return not self._thread.is_alive()

    def load(self, *texts: str) -> None:
        """Deliver files and wait until they are loaded."""
        names = [deliver(self.settings.landing_dir, text) for text in texts]
        wanted = "', '".join(names)
        settled = f"SELECT count(*) FROM shop.files WHERE name IN ('{wanted}') AND state <> 'admitted'"
        wait_until(lambda: rows(self.settings, settled) == [(len(names),)], seconds=60, what="files to be loaded")


@pytest.fixture
def running(spark: SparkSession, database: Settings) -> Iterator[Running]:
    Landing.of(database).make()
    with Running(spark, database).while_running() as running:
        running.load(csv_text([valid_row()]))
        yield running


def count_events(settings: Settings) -> int:
    ((count,),) = rows(settings, "SELECT count(*) FROM shop.events")
    return int(count)


def test_the_stream_outlives_a_database_that_goes_away(running: Running, database: Settings) -> None:
    with database_away(database):
        deliver(database.landing_dir, csv_text([valid_row()]))
    running.load(csv_text([valid_row()]))
    wait_until(lambda: count_events(database) == 3, seconds=30, what="the file that came meanwhile")
    errors = [error for (error,) in rows(database, "SELECT error FROM shop.runs ORDER BY epoch")]
    # Each start of the query is a run of its own, and only the last one goes on.
    assert len(errors) >= 2
    assert errors[-1] is None
    assert None not in errors[:-1]
    # Nothing of it is held against a file.
    assert rows(database, "SELECT sum(failures) FROM shop.files") == [(0,)]


def test_the_stream_outlives_connections_that_are_cut(running: Running, database: Settings) -> None:
    for number in range(3):
        cut_connections(database, "shop_ingest")
        running.load(csv_text([valid_row()]))
        assert count_events(database) == number + 2


def test_the_stream_outlives_a_checkpoint_that_is_lost(running: Running, database: Settings) -> None:
    # Spark writes a batch's commit file after the ledger has the batch, perhaps while its directory goes.
    wait_until(lambda: _is_removed(database.checkpoint_dir), seconds=30, what="the checkpoint to be gone")
    running.load(csv_text([valid_row()]))
    (checkpoint,) = database.checkpoint_dir.iterdir()
    for path in (checkpoint / "offsets").glob("[0-9]*"):
        path.write_text("")
    running.load(csv_text([valid_row()]))
    assert count_events(database) == 3


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


def test_a_driver_that_is_fenced_ends_and_does_not_come_back(running: Running, database: Settings) -> None:
    epoch = next_epoch(database)
    deliver(database.landing_dir, csv_text([valid_row()]))
    wait_until(lambda: running.has_ended, seconds=60, what="the older driver to end")
    assert rows(database, "SELECT epoch FROM shop.writer") == [(epoch,)]
    assert count_events(database) == 1


def test_a_wish_ends_it(running: Running, database: Settings) -> None:
    set_wish(database.dsn("ops"), "stop")
    wait_until(lambda: running.has_ended, seconds=60, what="the stream to end")
    assert rows(database, "SELECT error FROM shop.runs WHERE ended_at IS NOT NULL ORDER BY epoch DESC LIMIT 1") == [
        (None,)
    ]


def _is_removed(path: Path) -> bool:
    shutil.rmtree(path, ignore_errors=True)
    return not path.exists()
