"""Event files as a Spark DataFrame: ``spark.read.format("shopstream_events").load("/data/events")``.

Each row is validated against the contract, as the stream validates it, and has the typed columns of the contract. The
source needs no database, so analysts and other jobs can use it on any files of the contract. docs/spark.md lists its
options and columns. The stream itself reads through :mod:`jobs.landing_source`, which adds admission and fencing.
"""

from __future__ import annotations

import glob
import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql.datasource import DataSource, DataSourceReader, DataSourceStreamReader, InputPartition
from pyspark.sql.streaming.datasource import ReadAllAvailable, ReadLimit
from pyspark.sql.types import (
    ArrayType,
    DataType,
    DecimalType,
    IntegerType,
    LongType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from include.contract import COLUMN_NAMES, COLUMNS, RULES
from include.stream.intake.landing import SUFFIXES
from include.stream.reading.csv_reader import read_file
from include.stream.validation.validate import BROKEN_RULES, validate

FORMAT = "shopstream_events"
MODES = ("PERMISSIVE", "DROPMALFORMED", "FAILFAST")

_SPARK_TYPES: dict[str, DataType] = {
    "uuid": StringType(),
    "text": StringType(),
    "timestamptz": TimestampType(),
    "numeric(12,2)": DecimalType(12, 2),
    "integer": IntegerType(),
}
SCHEMA = StructType(
    [
        *(StructField(column.name, _SPARK_TYPES[column.postgres_type]) for column in COLUMNS),
        StructField("_file", StringType()),
        StructField("_line", LongType()),
        StructField("_reasons", ArrayType(StringType())),
        StructField("_detail", StringType()),
        StructField("_extra", StringType()),
    ]
)

_MAX_FILE_BYTES = 4 * 1024**3
_MAX_FILES_PER_TRIGGER = 1000
# The kernel stamps files with a clock of coarse ticks: a younger file may still get a neighbor with the same stamp.
_YOUNGEST_NS = 100_000_000

_REJECTING = np.int64(sum(1 << bit for bit, rule in enumerate(RULES) if rule.severity == "reject"))
_HEX = np.frombuffer("".join(f"{byte:02x}" for byte in range(256)).encode(), np.uint8).reshape(256, 2)
_HYPHENS = (8, 13, 18, 23)
_HEX_PLACES = [place for place in range(36) if place not in _HYPHENS]


@dataclass(frozen=True)
class Options:
    """The options of the source.

    Parameters
    ----------
    path:
        A file, a folder, or a pattern such as ``/data/2026-11-*.csv``, on the local file system of each executor.
    mode:
        As for Spark's CSV source: ``PERMISSIVE`` returns every row, with the codes of its broken rules in ``_reasons``;
        ``DROPMALFORMED`` returns valid rows only; ``FAILFAST`` fails at the first row or file that is not valid.
    max_file_bytes:
        Most bytes that a file may have, unpacked. A larger one is a fault of the file.
    max_files_per_trigger:
        Most files that one micro-batch of a streaming query reads.
    """

    path: str
    mode: str = "PERMISSIVE"
    max_file_bytes: int = _MAX_FILE_BYTES
    max_files_per_trigger: int = _MAX_FILES_PER_TRIGGER

    @classmethod
    def of(cls, given: dict[str, str]) -> Options:
        """Read the options that Spark passes, whose names are in lower case.

        Raises
        ------
        ValueError
            When an option is missing, unknown or has no valid value.
        """
        given = {name.lower(): value for name, value in given.items()}
        known = {"path", "mode", "maxfilebytes", "maxfilespertrigger"}
        if unknown := sorted(given.keys() - known):
            raise ValueError(
                f"{FORMAT} has no option {unknown[0]!r}; it has path, mode, maxFileBytes, maxFilesPerTrigger"
            )
        if not given.get("path"):
            raise ValueError(f'{FORMAT} needs a path: spark.read.format("{FORMAT}").load("/data/events")')
        mode = given.get("mode", "PERMISSIVE").upper()
        if mode not in MODES:
            raise ValueError(f"mode {given['mode']!r} is none of {', '.join(MODES)}")
        return cls(
            given["path"],
            mode,
            _positive(given, "maxfilebytes", "maxFileBytes", _MAX_FILE_BYTES),
            _positive(given, "maxfilespertrigger", "maxFilesPerTrigger", _MAX_FILES_PER_TRIGGER),
        )

    def files(self) -> list[Path]:
        """List the files: those of a folder by suffix, of a pattern all that match; in the order of their names.

        Raises
        ------
        FileNotFoundError
            When the path names nothing.
        """
        path = Path(self.path)
        if path.is_dir():
            return sorted(
                one for one in path.iterdir() if one.name.lower().endswith(SUFFIXES) and one.name[0] not in "._"
            )
        found = sorted(Path(one) for one in glob.glob(self.path) if Path(one).is_file())  # noqa: PTH207 (absolute patterns)
        if not found and not glob.has_magic(self.path):
            raise FileNotFoundError(f"{self.path} is neither a file nor a folder")
        return found


@dataclass
class FilePartition(InputPartition):
    """One file, read by one task."""

    path: str


class EventSource(DataSource):
    """``spark.dataSource.register(EventSource)`` makes the format known to a session."""

    @classmethod
    def name(cls) -> str:
        return FORMAT

    def schema(self) -> StructType:
        return SCHEMA

    def reader(self, schema: StructType) -> DataSourceReader:
        return EventReader(Options.of(dict(self.options)))

    def streamReader(self, schema: StructType) -> DataSourceStreamReader:  # noqa: N802 (Spark's name)
        return EventStreamReader(Options.of(dict(self.options)))


class EventReader(DataSourceReader):
    """Reads all files once."""

    def __init__(self, options: Options) -> None:
        self._options = options

    def partitions(self) -> list[InputPartition]:
        return [FilePartition(str(path)) for path in self._options.files()]

    def read(self, partition: InputPartition) -> Iterator[Any]:
        assert isinstance(partition, FilePartition)
        return read_events(partition.path, self._options)


class EventStreamReader(DataSourceStreamReader):
    """Reads each file once, in the order in which files came to be in their place.

    The offset is the change time and name of the newest file that was read: ``mv`` sets the change time, while it keeps
    the time of modification. Only the checkpoint of the query remembers it, so a file that is changed in its place is
    read again.
    """

    def __init__(self, options: Options) -> None:
        self._options = options

    def initialOffset(self) -> dict[str, Any]:  # noqa: N802
        return {"changed_ns": 0, "name": ""}

    def getDefaultReadLimit(self) -> ReadLimit:  # noqa: N802
        return ReadAllAvailable()

    def latestOffset(self, start: dict[str, Any], limit: ReadLimit) -> dict[str, Any]:  # noqa: N802
        before = time.time_ns() - _YOUNGEST_NS
        waiting = [key for key, _ in self._listed() if _key(start) < key and key[0] < before]
        if not waiting:
            return start
        changed_ns, name = waiting[: self._options.max_files_per_trigger][-1]
        return {"changed_ns": changed_ns, "name": name}

    def partitions(self, start: dict[str, Any], end: dict[str, Any]) -> list[InputPartition]:
        return [FilePartition(str(path)) for key, path in self._listed() if _key(start) < key <= _key(end)]

    def read(self, partition: InputPartition) -> Iterator[Any]:
        assert isinstance(partition, FilePartition)
        return read_events(partition.path, self._options)

    def _listed(self) -> list[tuple[tuple[int, str], Path]]:
        return sorted(((path.stat().st_ctime_ns, path.name), path) for path in self._options.files())


def read_events(path: str, options: Options) -> Iterator[pa.RecordBatch]:
    """Read and validate one file.

    Yields
    ------
    pyarrow.RecordBatch
        With the columns of SCHEMA. A fault of the whole file is a row without fields and line, whose ``_reasons`` holds
        the code of the fault; the rows before it are valid or not by themselves.

    Raises
    ------
    ValueError
        In the mode FAILFAST, for the first row or file that is not valid.
    """
    read = read_file(Path(path), 0, slice_bytes=options.max_file_bytes, max_bytes=options.max_file_bytes)
    faults, read = _split_off_faults(read)
    for batch in validate(read):
        flags = batch[BROKEN_RULES].to_numpy() & _REJECTING
        if options.mode == "FAILFAST" and flags.any():
            row = int(np.flatnonzero(flags)[0])
            raise ValueError(f"{path}, line {batch['line'][row]}: {', '.join(_codes(int(flags[row])))}")
        if options.mode == "DROPMALFORMED":
            batch = batch.filter(pa.array(flags == 0))
            flags = flags[flags == 0]
        if batch.num_rows:
            yield _as_rows(batch, flags, path)
    for code in faults:
        if options.mode == "FAILFAST":
            raise ValueError(f"{path}: {code}")
        if options.mode == "PERMISSIVE":
            yield _fault_row(code, path)


def _split_off_faults(read: Iterator[pa.RecordBatch]) -> tuple[list[str], Iterator[pa.RecordBatch]]:
    """Separate rows from footers; the list has the code of the file's fault, if any, once all rows are read."""
    faults: list[str] = []

    def rows() -> Iterator[pa.RecordBatch]:
        for batch in read:
            if batch["is_footer"][0].as_py():
                faults.extend(code for code in batch["row_error"].to_pylist() if code)
            else:
                yield batch

    return faults, rows()


def _as_rows(batch: pa.RecordBatch, flags: np.ndarray[Any, np.dtype[np.int64]], path: str) -> pa.RecordBatch:
    reasons = pa.array([_codes(int(one)) if one else [] for one in flags], pa.list_(pa.string()))
    columns = [_text_ids(batch[name]) if name == "event_id" else batch[name] for name in COLUMN_NAMES]
    paths = pa.array(itertools.repeat(path, batch.num_rows), pa.string(), size=batch.num_rows)
    columns += [paths, batch["line"], reasons, batch["detail"], batch["extra"]]
    return pa.RecordBatch.from_arrays(columns, names=SCHEMA.names)


def _fault_row(code: str, path: str) -> pa.RecordBatch:
    values = {"_file": path, "_reasons": [code]}
    rows = pa.Table.from_pylist([values], schema=_ARROW_SCHEMA).to_batches()
    return rows[0]


def _codes(flags: int) -> list[str]:
    return [rule.code for bit, rule in enumerate(RULES) if flags >> bit & 1]


def _text_ids(ids: pa.FixedSizeBinaryArray) -> pa.StringArray:
    """Write UUIDs as text of 36 characters."""
    size = len(ids)
    known = pc.fill_null(ids, bytes(16))
    numbers = np.frombuffer(known.buffers()[1], np.uint8)[16 * known.offset : 16 * (known.offset + size)].reshape(
        size, 16
    )
    text = np.full((size, 36), ord("-"), np.uint8)
    text[:, _HEX_PLACES] = _HEX[numbers].reshape(size, 32)
    offsets = pa.py_buffer(np.arange(0, 36 * size + 1, 36, dtype=np.int32))
    made = pa.StringArray.from_buffers(size, offsets, pa.py_buffer(text.tobytes()))
    return pc.if_else(pc.is_valid(ids), made, pa.scalar(None, pa.string()))


def _positive(given: dict[str, str], key: str, name: str, default: int) -> int:
    text = given.get(key, str(default))
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{name} {text!r} is not a positive whole number")
    return int(text)


def _key(offset: dict[str, Any]) -> tuple[int, str]:
    return offset["changed_ns"], offset["name"]


_ARROW = {
    StringType(): pa.string(),
    TimestampType(): pa.timestamp("us", tz="UTC"),
    DecimalType(12, 2): pa.decimal128(12, 2),
    IntegerType(): pa.int32(),
    LongType(): pa.int64(),
    ArrayType(StringType()): pa.list_(pa.string()),
}
_ARROW_SCHEMA = pa.schema([pa.field(one.name, _ARROW[one.dataType]) for one in SCHEMA])
