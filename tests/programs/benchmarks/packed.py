"""``python -m tests.programs.benchmarks.packed``: what typed columns would cost the stream.

The stream's source hands each task's rows over as one packed Arrow value (jobs/landing_source.py). The source for users
(jobs/event_source.py) hands over typed columns, which Spark converts to its own rows and back to Arrow. Both read and
validate the same files in one micro-batch, by turns, and the driver collects the rows as Arrow. The time is Spark's
``addBatch`` of that micro-batch. Prints the medians and their ratio; docs/spark.md has the figures of a quiet machine.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming import StreamingQuery
from pyspark.sql.types import StructType

from include.generator.files import generate_files
from include.generator.options import GeneratorOptions
from include.stream.intake.admission import PendingFile
from include.stream.reading.records import START
from include.stream.validation.task_results import unpack
from jobs.event_source import FORMAT as TYPED
from jobs.event_source import EventSource
from jobs.landing_source import FORMAT as PACKED
from jobs.landing_source import LandingReader, LandingSource
from jobs.pyspark_internals import collect_by_task

_TIMEOUT_SECONDS = 300


class _OneBatch:
    """Admit all files of a folder as one batch, without Postgres."""

    def __init__(self, folder: Path) -> None:
        self._waiting = sorted(folder.glob("*.csv"))

    def next_batch(self) -> list[PendingFile]:
        """Return all files the first time, then none."""
        files, self._waiting = self._waiting, []
        return [
            PendingFile(number, str(path), path.stat().st_size, START) for number, path in enumerate(files, start=1)
        ]

    def close(self) -> None:
        """Do nothing, since nothing is open."""


class _FolderReader(LandingReader):
    """A reader of the stream whose files come from a folder."""

    _admitted: _OneBatch | None = None

    def _check_reached(self) -> None:
        """Do nothing, since no driver has made an epoch folder here."""

    def _admission(self) -> _OneBatch:
        if self._admitted is None:
            self._admitted = _OneBatch(Path(self._options["admitted"]))
        return self._admitted


class _FolderSource(LandingSource):
    def streamReader(self, schema: StructType) -> LandingReader:  # noqa: N802 (Spark's name)
        return _FolderReader(dict(self.options))


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=12)
    parser.add_argument("--rows", type=int, default=100_000, help="rows of each file")
    parser.add_argument("--rounds", type=int, default=7)
    asked = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as made, _session(Path(made)) as spark:
        folder = Path(made) / "files"
        folder.mkdir()
        rows = _write(folder, asked.files, asked.rows)
        took: dict[str, list[float]] = {PACKED: [], TYPED: []}
        for number in range(asked.rounds + 1):
            for source, seconds in took.items():
                one = _seconds(spark, source, folder, Path(made) / f"checkpoint-{source}-{number}", rows)
                # The first round loads classes and modules.
                seconds.extend([one] if number else [])
    packed, typed = (statistics.median(took[source]) for source in (PACKED, TYPED))
    print(f"{rows:,} rows in {asked.files} files, {asked.rounds} rounds by turns, local[2]; medians")
    print(f"packed  {packed:6.2f} s  {rows / packed:10,.0f} rows/s")
    print(f"typed   {typed:6.2f} s  {rows / typed:10,.0f} rows/s")
    print(f"typed takes {typed / packed:.2f} times as long")
    return 0


@contextmanager
def _session(directory: Path) -> Iterator[SparkSession]:
    spark = (
        SparkSession.builder.master("local[2]")
        .appName("packed")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.warehouse.dir", str(directory / "warehouse"))
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.task.maxDirectResultSize", "64m")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    spark.dataSource.register(EventSource)
    spark.dataSource.register(_FolderSource)
    try:
        yield spark
    finally:
        spark.stop()


def _write(folder: Path, files: int, rows: int) -> int:
    """Write the files, and return the number of their rows."""
    options = GeneratorOptions(
        seed=1,
        start=datetime.now(UTC) - timedelta(hours=1),
        events_per_second=1000.0,
        duration_seconds=files * rows / 1000,
        rows_per_file=rows,
        bad_share=0.01,
        duplicate_share=0.01,
        late_share=0.01,
        is_paced=False,
    )
    for number, file in enumerate(generate_files(options)):
        (folder / f"{number:03}.csv").write_bytes(b"".join(bytes(part) for part in file.content))
    return files * rows


def _seconds(spark: SparkSession, source: str, folder: Path, checkpoint: Path, rows: int) -> float:
    """Return the seconds of the one micro-batch that reads the folder."""
    is_seen = threading.Event()
    seen: list[int] = []

    def count(batch: DataFrame, _: int) -> None:
        tables: Iterator[Any] = collect_by_task(batch)
        if source == PACKED:
            tables = (table.filter(pa.compute.invert(table["is_footer"])) for table in unpack(tables))
        seen.append(sum(table.num_rows for table in tables))
        is_seen.set()

    reader = spark.readStream.format(source)
    reader = (
        reader.options(admitted=str(folder), slice_bytes=2**40, max_file_bytes=2**40, cores=2)
        if source == PACKED
        else reader
    )
    query = (
        reader.load(str(folder)).writeStream.foreachBatch(count).option("checkpointLocation", str(checkpoint)).start()
    )
    try:
        if not is_seen.wait(_TIMEOUT_SECONDS):
            raise RuntimeError(f"{source} read nothing: {query.exception()}")
        return _first(query, lambda progress: progress.durationMs["addBatch"] / 1000)
    finally:
        query.stop()
        if sum(seen) != rows:
            raise RuntimeError(f"{source} read {sum(seen)} rows of {rows}")


def _first(query: StreamingQuery, value: Callable[[Any], float]) -> float:
    while not (found := [one for one in query.recentProgress if one.durationMs.get("addBatch")]):
        query.awaitTermination(0.05)
    return value(found[0])


if __name__ == "__main__":
    sys.exit(main())
