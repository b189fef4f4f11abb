"""``python -m tests.programs.benchmarks.packed``: what typed columns would cost the stream.

The stream's source hands each task's rows over as one packed Arrow value (jobs/landing_source.py). The source for users
(jobs/event_source.py) hands over typed columns, which Spark converts to its own rows and back to Arrow. Both load the
same files into the same table of PostgreSQL, by the same binary COPY in ``foreachBatch``: valid rows only, without
ledger, duplicates, rollups and rejects, which would cost both the same.

In each round both take a turn, and the other one begins in the next round. A turn starts a query and lets it load one
file untimed. It then measures the latency of small files, one after the other, from the rename into the folder to the
commit, and the rows per second of large files that arrive together. ``--page docs/spark.md`` writes the medians and
their ratios between the markers of that page.
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import psycopg2
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from include.contract import COLUMN_NAMES, REJECT_RULES
from include.generator.files import generate_files
from include.generator.options import GeneratorOptions
from include.platform.installation.java import java_home, prepare_java
from include.settings import REPOSITORY, Settings
from include.stream.intake.admission import PendingFile
from include.stream.reading.records import START
from include.stream.storage.copy import BinaryRows, copy_rows
from include.stream.validation.task_results import unpack
from include.stream.validation.validate import BROKEN_RULES, flag_of
from jobs.event_source import FORMAT as TYPED
from jobs.event_source import EventSource
from jobs.landing_source import FORMAT as PACKED
from jobs.landing_source import LandingReader, LandingSource
from jobs.pyspark_internals import collect_by_task
from tests.programs.benchmarks import machine
from tests.support.postgres import cloned_database, running_cluster, temporary_home

TABLE = "packed_benchmark"
BEGIN, END = "<!-- packed: begin -->", "<!-- packed: end -->"
_TIMEOUT_SECONDS = 120
_LOOK_SECONDS = 0.01
# As long as the stream's own source waits for a file before it tells Spark that there is none.
_WAIT_SECONDS = 0.25
_REJECTING = sum(flag_of(rule.code) for rule in REJECT_RULES)


@dataclass
class Turns:
    """What one source took: a value per round for the speed, and one per small file for the latency."""

    rows_per_second: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)


class _Folder:
    """Admit the files of a folder as they arrive, without Postgres."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: set[str] = set()

    def next_batch(self) -> list[PendingFile]:
        """Return the new files, by name; wait a moment for the first one."""
        deadline = time.monotonic() + _WAIT_SECONDS
        while not (found := sorted(set(map(str, self._folder.glob("*.csv"))) - self._seen)):
            if time.monotonic() > deadline:
                return []
            time.sleep(_LOOK_SECONDS)
        first = len(self._seen) + 1
        self._seen.update(found)
        return [PendingFile(number, path, Path(path).stat().st_size, START) for number, path in enumerate(found, first)]

    def close(self) -> None:
        """Do nothing, since nothing is open."""


class _FolderReader(LandingReader):
    """A reader of the stream whose files come from a folder."""

    _folder: _Folder | None = None

    def _check_reached(self) -> None:
        """Do nothing, since no driver has made an epoch folder here."""

    def _admission(self) -> _Folder:
        if self._folder is None:
            self._folder = _Folder(Path(self._options["path"]))
        return self._folder


class _FolderSource(LandingSource):
    def streamReader(self, schema: StructType) -> LandingReader:  # noqa: N802 (Spark's name)
        return _FolderReader(dict(self.options))


class _Loader:
    """Copy the valid rows of each micro-batch in one transaction, and count all rows that were read."""

    def __init__(self, dsn: str, tables: Callable[[DataFrame], Iterator[tuple[int, pa.Table]]]) -> None:
        self._dsn = dsn
        self._tables = tables
        self._committed = threading.Condition()
        self._read = 0

    def write(self, batch: DataFrame, _: int) -> None:
        """Store a batch; for ``foreachBatch``."""
        read = 0
        with closing(psycopg2.connect(self._dsn)) as connection, connection, connection.cursor() as cursor:
            for count, valid in self._tables(batch):
                if valid.num_rows:
                    copy_rows(cursor, TABLE, BinaryRows.of(valid))
                read += count
        with self._committed:
            self._read += read
            self._committed.notify_all()

    def wait(self, rows: int) -> None:
        """Wait until that many rows were read in all, and those of them that are valid are committed."""
        with self._committed:
            if not self._committed.wait_for(lambda: self._read >= rows, _TIMEOUT_SECONDS):
                raise RuntimeError(f"{self._read} of {rows} rows were loaded in {_TIMEOUT_SECONDS} s")


def packed_tables(task_results: Iterator[pa.RecordBatch]) -> Iterator[tuple[int, pa.Table]]:
    """Yield the number of rows and the valid rows of each task result."""
    for table in unpack(task_results):
        rows = table.filter(pc.invert(table["is_footer"]))
        is_valid = pc.equal(pc.bit_wise_and(rows[BROKEN_RULES], pa.scalar(_REJECTING, pa.int64())), 0)
        yield rows.num_rows, rows.filter(is_valid).select(COLUMN_NAMES)


def typed_tables(batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[int, pa.Table]]:
    """Yield the number of rows and the valid rows of each record batch of the source for users."""
    for batch in batches:
        table = pa.Table.from_batches([batch])
        valid = table.filter(pc.equal(pc.list_value_length(table["_reasons"]), 0)).select(COLUMN_NAMES)
        ids = valid["event_id"].combine_chunks()
        yield table.num_rows, valid.set_column(0, "event_id", _binary_ids(ids))


def _binary_ids(texts: pa.StringArray) -> pa.Array:
    """Return UUIDs as 16 bytes each, as COPY needs them; Spark has no such type."""
    digits = bytes.fromhex("".join(pc.replace_substring(texts, "-", "").to_pylist()))
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(texts), [None, pa.py_buffer(digits)])


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=6, help="measured rounds (%(default)s)")
    parser.add_argument("--files", type=int, default=12, help="large files of a turn (%(default)s)")
    parser.add_argument("--rows", type=int, default=50_000, help="rows of a large file (%(default)s)")
    parser.add_argument("--small-files", type=int, default=8, help="small files of a turn (%(default)s)")
    parser.add_argument("--small-rows", type=int, default=1000, help="rows of a small file (%(default)s)")
    parser.add_argument("--page", type=Path, help="a page to write the figures into, such as docs/spark.md")
    asked = parser.parse_args(argv)
    with temporary_home() as home, running_cluster() as cluster, cloned_database(cluster, home) as settings:
        _make_table(settings)
        small = _write(home / "small", asked.small_files + 1, asked.small_rows)
        large = _write(home / "large", asked.files, asked.rows)
        turns = {PACKED: Turns(), TYPED: Turns()}
        with _session(settings) as spark:
            # The first round loads classes and modules, so it is not counted.
            for number in range(asked.rounds + 1):
                for source in (PACKED, TYPED)[:: 1 if number % 2 else -1]:
                    folder = home / f"turn-{number}-{source}"
                    turn = _turn(spark, settings, source, folder, (small, asked.small_rows), (large, asked.rows))
                    if number:
                        turns[source].rows_per_second += turn.rows_per_second
                        turns[source].latencies += turn.latencies
    lines = report(turns, asked)
    print("\n".join(lines))
    if asked.page:
        _write_into(asked.page, lines)
    return 0


def report(turns: dict[str, Turns], asked: argparse.Namespace) -> list[str]:
    """Return the figures as Markdown; a ratio is the median of the ratios of each round."""
    packed, typed = turns[PACKED], turns[TYPED]
    speeds = [statistics.median(one.rows_per_second) for one in (packed, typed)]
    seconds = [statistics.median(one.latencies) for one in (packed, typed)]
    speed = statistics.median(b / a for a, b in zip(packed.rows_per_second, typed.rows_per_second, strict=True))
    rounds = [np.reshape(one.latencies, (asked.rounds, -1)) for one in (packed, typed)]
    latency = statistics.median(np.median(rounds[1], axis=1) / np.median(rounds[0], axis=1))
    about = machine.describe()
    return [
        "| from rename to commit, median | packed (the stream) | typed columns | typed / packed |",
        "|---|---|---|---|",
        f"| {asked.files} files of {asked.rows:,} rows | {speeds[0]:,.0f} rows/s | {speeds[1]:,.0f} rows/s "
        f"| {speed:.2f} |",
        f"| one file of {asked.small_rows:,} rows | {seconds[0]:.3f} s | {seconds[1]:.3f} s | {latency:.2f} |",
        "",
        f"Measured on {about['date']}, {asked.rounds} rounds, `local[2]`, PySpark {about['pyspark']}, "
        f"PostgreSQL {about['postgres']},",
        f"{about['machine']}.",
    ]


def _turn(
    spark: SparkSession,
    settings: Settings,
    source: str,
    folder: Path,
    small: tuple[Sequence[Path], int],
    large: tuple[Sequence[Path], int],
) -> Turns:
    """Load all files through one source; the figures of this turn."""
    folder.mkdir()
    tables = packed_tables if source == PACKED else typed_tables
    loader = _Loader(settings.dsn("owner"), lambda batch: tables(collect_by_task(batch)))
    reader = spark.readStream.format(source)
    if source == PACKED:
        reader = reader.options(slice_bytes=2**40, max_file_bytes=2**40, cores=spark.sparkContext.defaultParallelism)
    query = (
        reader.load(str(folder))
        .writeStream.foreachBatch(loader.write)
        .option("checkpointLocation", str(folder.with_suffix(".checkpoint")))
        .start()
    )
    expected = 0

    def deliver(paths: Sequence[Path], rows: int) -> float:
        nonlocal expected
        # Linked beforehand, so that the timed part is a rename, as in a delivery.
        ready = [folder / f".{path.stem}" for path in paths]
        for path, name in zip(paths, ready, strict=True):
            os.link(path, name)
        expected += rows * len(paths)
        began = time.monotonic()
        for path, name in zip(paths, ready, strict=True):
            name.rename(folder / path.name)
        loader.wait(expected)
        return time.monotonic() - began

    turn = Turns()
    try:
        first, *others = small[0]
        deliver([first], small[1])
        turn.latencies += [deliver([path], small[1]) for path in others]
        turn.rows_per_second.append(len(large[0]) * large[1] / deliver(*large))
    finally:
        query.stop()
        with closing(psycopg2.connect(settings.dsn("owner"))) as connection, connection, connection.cursor() as cursor:
            cursor.execute(f"TRUNCATE shop.{TABLE}")
    return turn


def _make_table(settings: Settings) -> None:
    with closing(psycopg2.connect(settings.dsn("owner"))) as connection, connection, connection.cursor() as cursor:
        columns = ", ".join(COLUMN_NAMES)
        cursor.execute(f"CREATE TABLE shop.{TABLE} AS SELECT {columns} FROM shop.events WITH NO DATA")


@contextmanager
def _session(settings: Settings) -> Iterator[SparkSession]:
    prepare_java(settings)
    python_path = os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")])
    os.environ.update(
        JAVA_HOME=str(java_home(settings)),
        SPARK_LOCAL_IP="127.0.0.1",
        PYSPARK_PYTHON=sys.executable,
        PYTHONPATH=python_path,
        PYSPARK_SUBMIT_ARGS="--master local[2] --driver-memory 1g pyspark-shell",
    )
    spark = (
        SparkSession.builder.appName("packed")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.task.maxDirectResultSize", "64m")
        # COPY takes timestamps in UTC, and Spark's Arrow has those of typed columns in the session's time zone.
        .config("spark.sql.session.timeZone", "UTC")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    logging.getLogger("py4j").setLevel(logging.WARNING)
    spark.dataSource.register(EventSource)
    spark.dataSource.register(_FolderSource)
    try:
        yield spark
    finally:
        spark.stop()


def _write(folder: Path, files: int, rows: int) -> list[Path]:
    """Write files of that many rows each; return their paths."""
    folder.mkdir()
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
    paths = []
    for number, file in enumerate(generate_files(options)):
        paths.append(folder / f"{folder.name}-{number:03}.csv")
        paths[-1].write_bytes(b"".join(bytes(part) for part in file.content))
    return paths


def _write_into(page: Path, lines: Sequence[str]) -> None:
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise SystemExit(f"{page} lacks the lines {BEGIN} and {END}")
    page.write_text("\n".join([f"{before}{BEGIN}", *lines, f"{END}{after}"]), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
