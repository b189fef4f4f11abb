"""Run the stream's query over sample files, without a database: ``spark-submit jobs/rehearsal.py``.

The run serves the JVM, which records the classes that a driver loads and the methods that are worth compiling
(include/platform/programs/driver_jvm.py).
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
from pyspark.sql.types import StructType

from include.generator.files import generate_files
from include.generator.options import GeneratorOptions
from include.settings import Settings
from include.stream.intake.admission import PendingFile
from include.stream.reading.records import START
from jobs.landing_source import LandingReader, LandingSource
from jobs.query import build_query
from jobs.stream_events import build_session

# Some files as small as in a quiet hour, then some that trigger the optimizing compiler.
_ROWS = (*[200] * 6, *[20_000] * 6)
_TIMEOUT_SECONDS = 120


@dataclass
class _Shelf:
    """Admit one file of a folder after the other, without Postgres."""

    folder: Path
    taken: int = 0

    def next_batch(self) -> list[PendingFile]:
        path = self.folder / f"{self.taken}.csv"
        if not path.exists():
            return []
        self.taken += 1
        return [PendingFile(self.taken, str(path), path.stat().st_size, START)]

    def close(self) -> None:
        """Do nothing, since nothing is open."""


class _ShelfReader(LandingReader):
    """A reader whose tasks read from a local folder."""

    _shelf: _Shelf | None = None

    def _check_reached(self) -> None:
        """Do nothing, since no driver has made an epoch folder here."""

    def _admission(self) -> _Shelf:
        if self._shelf is None:
            self._shelf = _Shelf(Path(self._options["admitted"]))
        return self._shelf


class _ShelfSource(LandingSource):
    def streamReader(self, schema: StructType) -> LandingReader:  # noqa: N802 (Spark's name)
        return _ShelfReader(dict(self.options))


class _Counter:
    """Count batches instead of storing them."""

    query, epoch = "rehearsal", 1

    def __init__(self) -> None:
        self.all_seen = threading.Event()
        self._batches = 0

    def write(self, parts: Iterable[pa.Table], *, spark_batch_id: int) -> None:
        for _ in parts:
            """Consume the slices as they arrive, like the sink."""
        self._batches += 1
        if self._batches == len(_ROWS):
            self.all_seen.set()


def _write_samples(folder: Path) -> None:
    for number, rows in enumerate(_ROWS):
        options = GeneratorOptions(
            seed=number,
            start=datetime.now(UTC) - timedelta(minutes=5),
            events_per_second=1000.0,
            duration_seconds=rows / 1000,
            rows_per_file=rows,
            bad_share=0.02,
            duplicate_share=0.02,
            late_share=0.02,
            is_paced=False,
        )
        (file,) = generate_files(options)
        (folder / f"{number}.csv").write_bytes(b"".join(bytes(part) for part in file.content))


def main() -> int:
    """Run until all samples are loaded; return 1 if that takes too long."""
    settings = Settings.from_env()
    _write_samples(settings.admitted_dir)
    spark = build_session(settings)
    counter = _Counter()
    query = build_query(
        spark,
        settings,
        sink=counter,
        checkpoint=settings.checkpoint_dir / "rehearsal",
        batch_lock=threading.Lock(),
        stopping=threading.Event(),
        source=_ShelfSource,
    )
    is_complete = counter.all_seen.wait(_TIMEOUT_SECONDS)
    query.stop()
    spark.stop()
    return 0 if is_complete else 1


if __name__ == "__main__":
    sys.exit(main())
