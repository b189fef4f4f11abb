"""Run the stream without Spark: the job's own parts admit, read, validate and store files."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from include.settings import Settings
from include.stream.intake.landing import Landing
from include.stream.reading.csv_reader import read_file
from include.stream.storage.load import BatchResult
from include.stream.storage.sink import BatchSink
from include.stream.validation.validate import VALIDATED_SCHEMA, validate
from tests.support.csv_files import deliver
from tests.support.stream import MIB, admission_of, next_epoch


class Pipeline:
    """The writer of a database, as a driver that has just started.

    Parameters
    ----------
    settings:
        Of the database and the folders.
    slice_bytes:
        A file that is larger is loaded in parts.
    max_bytes:
        Most bytes that a file may have unpacked.
    """

    def __init__(self, settings: Settings, *, slice_bytes: int = MIB // 2, max_bytes: int = MIB) -> None:
        self._limits = {"slice_bytes": slice_bytes, "max_bytes": max_bytes}
        epoch = next_epoch(settings)
        self.landing = Landing.of(settings)
        self._admission = admission_of(settings, epoch, slice_bytes=slice_bytes)
        self.sink = BatchSink(settings.dsn("ingest"), self.landing, "events", epoch)
        self._batches = itertools.count()

    def load(self, *files: str | bytes | tuple[str, str | bytes]) -> list[BatchResult]:
        """Deliver files, each its content or a name and its content, and load all that waits.

        Returns
        -------
        list of BatchResult
            One for each batch that it took.
        """
        for file in files:
            name, content = file if isinstance(file, tuple) else (None, file)
            deliver(Path(self.landing.incoming), content, name)
        results = []
        while pending := self._admission.next_batch():
            parts = [
                pa.Table.from_batches(
                    validate(read_file(Path(file.path), file.file_id, start=file.start, **self._limits)),
                    VALIDATED_SCHEMA,
                )
                for file in pending
            ]
            result = self.sink.write(parts, spark_batch_id=next(self._batches))
            assert result is not None
            results.append(result)
        return results

    def close(self) -> None:
        """Close the connections."""
        self._admission.close()
        self.sink.close()


@contextmanager
def pipeline(settings: Settings, **limits: Any) -> Iterator[Pipeline]:
    """Yield a pipeline, and close it at the end."""
    made = Pipeline(settings, **limits)
    try:
        yield made
    finally:
        made.close()
