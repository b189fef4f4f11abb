"""Fixtures of the tests that need a real PostgreSQL but no Spark."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from include.settings import Settings
from include.stream.intake.landing import Landing
from include.stream.storage.sink import BatchSink
from tests.support.csv_files import csv_text, deliver, valid_row
from tests.support.stream import admission_of, next_epoch


@pytest.fixture
def sink(database: Settings) -> Iterator[BatchSink]:
    """Yield the sink of the current epoch, with two admitted files, 1 and 2."""
    landing, epoch = Landing.of(database), next_epoch(database)
    admission = admission_of(database, epoch)
    for number in (1, 2):
        deliver(Path(landing.incoming), csv_text([valid_row()]), f"{number}.csv")
    assert [file.file_id for file in admission.next_batch()] == [1, 2]
    admission.close()
    sink = BatchSink(database.dsn("ingest"), landing, "events", epoch)
    yield sink
    sink.close()
