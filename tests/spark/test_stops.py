"""Tests that a stop ends the query at any moment, with real Spark, real PostgreSQL and the runner of the job.

``make test-stops`` stops it 200 times.
"""

from __future__ import annotations

import itertools
import os
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest
from pyspark.sql import SparkSession

from include.settings import Settings
from include.stream.intake.landing import Landing
from include.stream.storage.sink import BatchSink
from include.stream.supervision.epoch import Driver
from jobs import runner
from jobs.query import build_query
from jobs.runner import QueryRunner, fresh_checkpoint
from tests.support.csv_files import csv_text, deliver, valid_row
from tests.support.stream import next_epoch
from tests.support.validated import query as rows
from tests.support.waiting import wait_until

STOPS = int(os.environ.get("STOPS", "20"))
# This is far below the time after which Spark gives up waiting for its thread.
_AT_ONCE_SECONDS = 20.0


class WatchedLock:
    """A lock that signals when a thread waits for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.is_awaited = threading.Event()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Acquire the lock, like a lock of the standard library."""
        if self._lock.locked():
            self.is_awaited.set()
        return self._lock.acquire(blocking, timeout)

    def release(self) -> None:
        """Release the lock."""
        self._lock.release()

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


def test_a_batch_that_arrives_during_a_stop_does_not_hang_the_query(spark: SparkSession, database: Settings) -> None:
    landing = Landing.of(database)
    landing.make()
    epoch = next_epoch(database)
    sink = BatchSink(database.dsn("ingest"), landing, "events", epoch)
    lock, stopping = WatchedLock(), threading.Event()
    query = build_query(
        spark,
        database,
        sink=sink,
        checkpoint=fresh_checkpoint(database.checkpoint_dir, epoch),
        batch_lock=lock,  # type: ignore[arg-type]
        stopping=stopping,
    )
    with lock:
        deliver(database.landing_dir, csv_text([valid_row()]))
        assert lock.is_awaited.wait(60)
        stopping.set()
        stop = threading.Thread(target=query.stop, daemon=True)
        stop.start()
        stop.join(_AT_ONCE_SECONDS)
        assert not stop.is_alive()
    sink.close()
    # Nothing of the batch was stored, and its file waits for the next driver.
    assert rows(database, "SELECT state, accepted FROM shop.files") == [("admitted", 0)]


@contextmanager
def a_busy_feed(settings: Settings) -> Iterator[list[str]]:
    """Deliver file after file, with up to 50 waiting in the landing folder; yield the names."""
    names: list[str] = []
    ended = threading.Event()

    def feed() -> None:
        while not ended.wait(0.005):
            if sum(1 for _ in settings.landing_dir.iterdir()) < 50:
                names.append(deliver(settings.landing_dir, csv_text([valid_row()])))

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        yield names
    finally:
        ended.set()
        thread.join()


def _batches(database: Settings) -> int:
    ((batches,),) = rows(database, "SELECT count(*) FROM shop.batches")
    return int(batches)


def _has_committed(database: Settings, batches: int) -> bool:
    return _batches(database) >= batches


def test_the_query_stops_each_time_under_load(
    spark: SparkSession, database: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    Landing.of(database).make()
    # Stops must come at any moment of a batch, not in step with the heartbeat.
    monkeypatch.setattr(runner, "POLL_SECONDS", 0.01)
    chance = random.Random(7)
    with a_busy_feed(database) as names:
        for number in itertools.count(1):
            stop_requested = threading.Event()
            driver = QueryRunner(spark, database, Driver("continuous", "test", number), stop_requested)
            thread = threading.Thread(target=driver.run, daemon=True)
            before = _batches(database)
            thread.start()
            wait_until(partial(_has_committed, database, before + 2), seconds=120, what="two batches")
            stop_requested.wait(chance.uniform(0, 0.1))
            stop_requested.set()
            thread.join(_AT_ONCE_SECONDS)
            assert not thread.is_alive(), f"stop {number} hangs"
            if number == STOPS:
                break
    assert rows(database, "SELECT DISTINCT error FROM shop.runs") == [(None,)]
    # The next driver loads the abandoned files, each once.
    stop_requested = threading.Event()
    last = threading.Thread(target=QueryRunner(spark, database, Driver("drain", "test", 0), stop_requested).run)
    last.start()
    last.join(120)
    stop_requested.set()
    assert rows(database, "SELECT count(*) FROM shop.events") == [(len(names),)]
    assert rows(database, "SELECT count(*), min(state), max(state) FROM shop.files") == [
        (len(names), "loaded", "loaded")
    ]
