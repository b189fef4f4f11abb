"""The streaming source: files of the landing folder, admitted through Postgres, read and judged by the tasks.

Its offset counts the batches of this run: which files those are is decided, and remembered, in Postgres. Looking for
new files therefore costs the same after a year as on the first day.
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
from include.stream.admission import Admission, PendingFile
from include.stream.csv_reader import read_file
from include.stream.judge import judge
from include.stream.landing import Landing
from include.stream.parcels import pack

FORMAT = "shopstream_landing"

_SOURCE_SCHEMA = StructType([StructField("task", IntegerType()), StructField("parcel", BinaryType())])

# A task costs some ten milliseconds, whatever it reads: a small batch is one. A large batch is more tasks than there
# are cores, so that the first ones are stored while the others are read.
_LEAST_BYTES_PER_TASK = 1024 * 1024
_BYTES_PER_TASK = 4 * 1024 * 1024

# A batch begins within milliseconds of the arrival of its first file, while Spark asks only this often.
_PATIENCE_SECONDS = 0.25

# Spark's Python worker collects garbage of all generations after each task; over the modules that it imports in its
# first tasks this costs 60 ms of a core, several times what a small file takes to read. Frozen, they are exempt.
_TASKS_THAT_IMPORT = 3
_tasks_of_this_worker = itertools.count()


class Admits(Protocol):
    """What says which files the next batch has: see :class:`include.stream.admission.Admission`."""

    def next_batch(self) -> list[PendingFile]: ...

    def close(self) -> None: ...


@dataclass
class FilesPartition(InputPartition):
    """Consecutive files, read by one task: a task costs more than a small file."""

    task: int
    files: list[PendingFile]


class LandingSource(DataSource):
    """``spark.readStream.format("shopstream_landing")``; for its options see :func:`source_options`."""

    @classmethod
    def name(cls) -> str:
        return FORMAT

    def schema(self) -> StructType:
        return _SOURCE_SCHEMA

    def streamReader(self, schema: StructType) -> LandingReader:  # noqa: N802 (Spark's name)
        return LandingReader(dict(self.options))


class LandingReader(DataSourceStreamReader):
    """Admits, plans and reads. Spark keeps one on the driver for the offsets, and sends copies to the workers."""

    def __init__(self, options: dict[str, str]) -> None:
        self._options = options
        self._opened: Admits | None = None
        self._batch: list[PendingFile] = []

    def _admission(self) -> Admits:
        # Opened on first use: a connection cannot travel to the workers with the pickled reader.
        if self._opened is None:
            options = self._options
            admission = Admission(
                dsn=options["dsn"],
                landing=self._landing(),
                query=options["query"],
                epoch=int(options["epoch"]),
                max_files=int(options["max_files"]),
                max_bytes=int(options["max_bytes"]),
                part_bytes=int(options["part_bytes"]),
                disks=tuple(map(Path, json.loads(options["disks"]))),
                pause_below_gib=float(options["pause_below_gib"]),
                patience_seconds=_PATIENCE_SECONDS,
            )
            admission.recover()
            self._opened = admission
        return self._opened

    def initialOffset(self) -> dict[str, int]:  # noqa: N802
        return {"batch": 0}

    def latestOffset(self, start: dict[str, int], limit: ReadLimit) -> dict[str, int]:  # noqa: N802
        self._batch = self._admission().next_batch()
        return {"batch": start["batch"] + bool(self._batch)}

    def partitions(self, start: dict[str, int], end: dict[str, int]) -> list[FilesPartition]:
        tasks = task_count(sum(file.size_bytes for file in self._batch), int(self._options["cores"]))
        return [FilesPartition(task, files) for task, files in enumerate(share_out(self._batch, tasks))]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        assert isinstance(partition, FilesPartition)
        if next(_tasks_of_this_worker) < _TASKS_THAT_IMPORT:
            gc.freeze()
        self._check_reached()
        limits = {"part_bytes": int(self._options["part_bytes"]), "max_bytes": int(self._options["max_file_bytes"])}
        read = (read_file(Path(file.path), file.file_id, start=file.start, **limits) for file in partition.files)
        parcel = pack(partition.task, judge(itertools.chain.from_iterable(read)))
        # Once more: what was unmounted meanwhile has made files unreadable that are not.
        self._check_reached()
        yield parcel

    def _check_reached(self) -> None:
        self._landing().check_reached(int(self._options["epoch"]))

    def _landing(self) -> Landing:
        return Landing(*(self._options[name] for name in ("incoming", "admitted", "archive", "quarantine")))

    def stop(self) -> None:
        if self._opened is not None:
            self._opened.close()


def task_count(size_bytes: int, cores: int) -> int:
    """Into how many tasks a batch of that size is cut."""
    return max(1, min(cores, size_bytes // _LEAST_BYTES_PER_TASK), size_bytes // _BYTES_PER_TASK)


def share_out(files: list[PendingFile], tasks: int) -> list[list[PendingFile]]:
    """Cut a list of files into at most ``tasks`` runs of about equal bytes, in order: the first of two duplicates in a
    batch is the one that was delivered first.
    """
    total = sum(file.size_bytes for file in files)
    groups: list[list[PendingFile]] = []
    before = 0
    for file in files:
        # The group in which the middle of the file falls; an empty file still takes a byte's place.
        share = (before + file.size_bytes / 2) * tasks // max(total, 1)
        if not groups or (share >= len(groups) and len(groups) < tasks):
            groups.append([])
        groups[-1].append(file)
        before += file.size_bytes
    return groups


def source_options(settings: Settings, *, query: str, epoch: int, cores: int) -> dict[str, str]:
    """The options of the source. The DSN holds no password: libpq reads it from the file that the DSN names.

    Parameters
    ----------
    settings:
        Name the folders and the limits.
    query, epoch:
        Whose files these are, and the right to admit them.
    cores:
        How many tasks run at once.
    """
    options = {
        **asdict(Landing.of(settings)),
        "dsn": settings.dsn("ingest"),
        "query": query,
        "epoch": epoch,
        "cores": cores,
        "max_files": settings.max_files_per_batch,
        "max_bytes": settings.max_bytes_per_batch,
        # Half a batch: files behind a large one get the other half.
        "part_bytes": settings.max_bytes_per_batch // 2,
        "max_file_bytes": settings.max_file_bytes,
        "disks": json.dumps(
            [str(one) for one in (settings.landing_dir, settings.checkpoint_dir, settings.postgres_dir)]
        ),
        "pause_below_gib": settings.pause_below_gib,
    }
    return {name: str(value) for name, value in options.items()}
