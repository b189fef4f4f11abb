"""The streaming source: Postgres admits the files of the landing folder, and tasks read and validate them.

The offset counts the batches of this run. Postgres decides and remembers which files a batch has, so looking for new
files costs the same after a year as on the first day.
"""

from __future__ import annotations

import gc
import itertools
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import pyarrow as pa
from pyspark.sql.datasource import DataSource, DataSourceStreamReader, InputPartition
from pyspark.sql.streaming.datasource import ReadLimit
from pyspark.sql.types import BinaryType, IntegerType, StructField, StructType

from include.settings import Settings
from include.stream.intake.admission import Admission, PendingFile
from include.stream.intake.landing import Landing
from include.stream.reading.csv_reader import read_file
from include.stream.validation.task_results import pack
from include.stream.validation.validate import validate

FORMAT = "shopstream_landing"

_SOURCE_SCHEMA = StructType([StructField("task", IntegerType()), StructField("task_result", BinaryType())])

# A task costs about ten milliseconds whatever it reads, so a small batch is one task. A large batch has more tasks than
# there are cores, so that the results of the first ones are stored while others still read.
_LEAST_BYTES_PER_TASK = 1024 * 1024
_BYTES_PER_TASK = 4 * 1024 * 1024

# A batch begins within milliseconds of the arrival of its first file, although Spark asks only this often.
_TIMEOUT_SECONDS = 0.25

# After each task Spark's Python worker runs a full garbage collection. Over the modules imported by its first tasks
# this takes 60 ms of a core, several times as long as reading a small file. Freezing those objects exempts them.
_TASKS_THAT_IMPORT = 3
_tasks_of_this_worker = itertools.count()


class Admits(Protocol):
    """Plans the files of the next batch: see :class:`include.stream.intake.admission.Admission`."""

    def next_batch(self) -> list[PendingFile]: ...

    def close(self) -> None: ...


@dataclass
class FilesPartition(InputPartition):
    """Consecutive files read by one task, since a task costs more than a small file."""

    task: int
    files: list[PendingFile]


class LandingSource(DataSource):
    """``spark.readStream.format("shopstream_landing")``; see :func:`source_options` for its options."""

    @classmethod
    def name(cls) -> str:
        return FORMAT

    def schema(self) -> StructType:
        return _SOURCE_SCHEMA

    def streamReader(self, schema: StructType) -> LandingReader:  # noqa: N802 (Spark's name)
        return LandingReader(dict(self.options))


class LandingReader(DataSourceStreamReader):
    """Admit, plan and read files. Spark keeps one reader on the driver for offsets and sends copies to the workers."""

    def __init__(self, options: dict[str, str]) -> None:
        self._options = options
        self._opened: Admits | None = None
        self._batch: list[PendingFile] = []
        self._planned = 0

    def _admission(self) -> Admits:
        # Opened on first use, because the reader is pickled for the workers and a connection cannot be pickled.
        if self._opened is None:
            options = self._options
            admission = Admission(
                dsn=options["dsn"],
                landing=self._landing(),
                query=options["query"],
                epoch=int(options["epoch"]),
                max_files=int(options["max_files"]),
                max_bytes=int(options["max_bytes"]),
                slice_bytes=int(options["slice_bytes"]),
                disks=tuple(map(Path, json.loads(options["disks"]))),
                pause_below_gib=float(options["pause_below_gib"]),
                timeout_seconds=_TIMEOUT_SECONDS,
                ignored_after_seconds=float(options["ignored_after_seconds"]),
            )
            admission.recover()
            self._opened = admission
        return self._opened

    def initialOffset(self) -> dict[str, int]:  # noqa: N802
        return {"batch": 0}

    def latestOffset(self, start: dict[str, int], limit: ReadLimit) -> dict[str, int]:  # noqa: N802
        self._batch = self._admission().next_batch()
        self._planned = start["batch"] + bool(self._batch)
        return {"batch": self._planned}

    def partitions(self, start: dict[str, int], end: dict[str, int]) -> list[FilesPartition]:
        # Each query has a fresh checkpoint, so Spark asks only for the newest batch. The first batch of a query may be
        # empty, because Spark plans it even when the source has nothing.
        assert (start["batch"] + bool(self._batch), end["batch"]) == (self._planned, self._planned), (
            f"Spark asked for batches {start} to {end}, but the newest batch is {self._planned}"
        )
        tasks = task_count(sum(file.size_bytes for file in self._batch), int(self._options["cores"]))
        return [FilesPartition(task, files) for task, files in enumerate(share_out(self._batch, tasks))]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        assert isinstance(partition, FilesPartition)
        if next(_tasks_of_this_worker) < _TASKS_THAT_IMPORT:
            gc.freeze()
        self._check_reached()
        limits = {"slice_bytes": int(self._options["slice_bytes"]), "max_bytes": int(self._options["max_file_bytes"])}
        read = (read_file(Path(file.path), file.file_id, start=file.start, **limits) for file in partition.files)
        task_result = pack(partition.task, validate(itertools.chain.from_iterable(read)))
        # Check again: if the folder was unmounted meanwhile, intact files were found unreadable.
        self._check_reached()
        yield task_result

    def _check_reached(self) -> None:
        self._landing().check_reached(int(self._options["epoch"]))

    def _landing(self) -> Landing:
        return Landing(*(self._options[name] for name in ("incoming", "admitted", "archive", "quarantine")))

    def stop(self) -> None:
        if self._opened is not None:
            self._opened.close()


def task_count(size_bytes: int, cores: int) -> int:
    """Return the number of tasks for a batch of that size."""
    return max(1, min(cores, size_bytes // _LEAST_BYTES_PER_TASK), size_bytes // _BYTES_PER_TASK)


def share_out(files: list[PendingFile], tasks: int) -> list[list[PendingFile]]:
    """Cut a list of files, in order, into at most ``tasks`` groups of about equal size.

    The order makes the first of two duplicates in a batch the one that was delivered first.
    """
    total = sum(file.size_bytes for file in files)
    groups: list[list[PendingFile]] = []
    before = 0
    for file in files:
        # The group that contains the middle of the file; an empty batch counts as one byte to avoid a division by zero.
        share = (before + file.size_bytes / 2) * tasks // max(total, 1)
        if not groups or (share >= len(groups) and len(groups) < tasks):
            groups.append([])
        groups[-1].append(file)
        before += file.size_bytes
    return groups


def source_options(settings: Settings, *, query: str, epoch: int, cores: int) -> dict[str, str]:
    """Return the options of the source. The DSN has no password; libpq reads it from the file that the DSN names.

    Parameters
    ----------
    settings:
        Define the folders and the limits.
    query, epoch:
        The query that the files belong to, and the writer epoch that allows this driver to admit them.
    cores:
        Number of tasks that run at once.
    """
    options = {
        **asdict(Landing.of(settings)),
        "dsn": settings.dsn("ingest"),
        "query": query,
        "epoch": epoch,
        "cores": cores,
        "max_files": settings.max_files_per_batch,
        "max_bytes": settings.max_bytes_per_batch,
        # Half a batch, so that the files behind a large one get the other half.
        "slice_bytes": settings.max_bytes_per_batch // 2,
        "max_file_bytes": settings.max_file_bytes,
        "disks": json.dumps(
            [str(one) for one in (settings.landing_dir, settings.checkpoint_dir, settings.postgres_dir)]
        ),
        "pause_below_gib": settings.pause_below_gib,
        "ignored_after_seconds": settings.ignored_after_seconds,
    }
    return {name: str(value) for name, value in options.items()}
