"""Reads one delivered file into Arrow record batches of text fields, each row with its line.

The file is read once, in bounded memory. Columns are matched by the names in the header. A row that cannot be parsed
comes out with its reason in ``row_error`` and no fields; a fault of the whole file ends the reading. Each file ends
with one footer row, which carries the number of rows read and the fault, if any: the sink checks the former against
what it stored, and discards the rows of a file that has the latter.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import stat
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from include.contract import COLUMN_NAMES, FILE_FAULTS
from include.contract.rules import FUTURE_EVENT_ID, FUTURE_TOLERANCE_MINUTES, READ_AT

# A row must fit into a block; 172-byte rows make batches of 24,000.
BLOCK_BYTES = 4 * 1024 * 1024
_CHUNK_BYTES = 1024 * 1024
_MAX_HEADER_BYTES = 64 * 1024

READER_SCHEMA = pa.schema(
    [
        pa.field("file_id", pa.int64()),
        pa.field("line", pa.int64()),
        pa.field("is_footer", pa.bool_()),
        pa.field("row_error", pa.string()),
        pa.field("detail", pa.string()),
        pa.field(READ_AT, pa.timestamp("us", tz="UTC")),
        pa.field(FUTURE_EVENT_ID, pa.string()),
        *(pa.field(name, pa.string()) for name in COLUMN_NAMES),
    ]
)


@dataclass
class _FileFaultError(Exception):
    """Ends the reading of a file with a code of FILE_FAULTS."""

    code: str
    detail: str


@dataclass
class _CleanedText(io.RawIOBase):
    """A binary file with everything removed that the CSV parser must not see, and a note of where it was.

    Bytes that are not UTF-8 and NUL are replaced, line by line, by ``?``, so that the structure of the row survives and
    the row can be rejected for what it is.
    """

    source: IO[bytes]
    next_line: int
    bytes_left: int
    spoilt: dict[int, str] = field(default_factory=dict)
    blank: set[int] = field(default_factory=set)
    _pending: bytes = b""

    def __post_init__(self) -> None:
        super().__init__()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if not self._pending:
            # Whole lines, so that a multi-byte character is never cut.
            chunk = self.source.read(_CHUNK_BYTES) + self.source.readline(self.bytes_left + 1)
            self.bytes_left -= len(chunk)
            if self.bytes_left < 0:
                raise _FileFaultError("too_large", "the limit was reached while reading")
            self._pending = self._clean(chunk)
        if size < 0:
            size = len(self._pending)
        taken, self._pending = self._pending[:size], self._pending[size:]
        return taken

    def _clean(self, chunk: bytes) -> bytes:
        first_line = self.next_line
        self.next_line += chunk.count(b"\n")
        is_clean = b"\0" not in chunk and (chunk.isascii() or _is_utf8(chunk))
        has_blank = chunk.startswith((b"\n", b"\r\n")) or b"\n\n" in chunk or b"\n\r\n" in chunk
        if is_clean and not has_blank:
            return chunk
        lines = chunk.split(b"\n")
        for index, line in enumerate(lines):
            if line in (b"", b"\r"):
                self.blank.add(first_line + index)
            elif b"\0" in line:
                self.spoilt[first_line + index] = "row_has_nul"
                lines[index] = _ascii(line)
            elif not _is_utf8(line):
                self.spoilt[first_line + index] = "row_not_utf8"
                lines[index] = _ascii(line)
        # What follows the last line break belongs to the next chunk.
        self.blank.discard(self.next_line)
        return b"\n".join(lines)


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _ascii(line: bytes) -> bytes:
    return line.replace(b"\0", b"?").decode("ascii", "replace").replace("\ufffd", "?").encode("ascii")


def read_file(path: Path, file_id: int, max_bytes: int) -> Iterator[pa.RecordBatch]:
    """Read a CSV file, gzipped when its name ends in ``.gz``.

    Parameters
    ----------
    path, file_id:
        The file, and its id for the rows.
    max_bytes:
        Most bytes that the file may have, unpacked.

    Yields
    ------
    pyarrow.RecordBatch
        With READER_SCHEMA. The last one is the footer: ``is_footer`` true, ``line`` the number of rows read,
        ``row_error`` a code of FILE_FAULTS or null, ``detail`` JSON with ``fault_detail`` and ``extra_columns``.
    """
    rows_read = 0
    extra: list[str] = []
    fault: _FileFaultError | None = None
    try:
        info = path.lstat()
        if not stat.S_ISREG(info.st_mode):
            raise _FileFaultError("not_a_regular_file", f"{path.name} is not a regular file")
        if info.st_size > max_bytes:
            raise _FileFaultError("too_large", f"it has {info.st_size:,} bytes, the limit is {max_bytes:,}")
        with open_delivered(path) as source:
            header = _read_header(source)
            extra = [name for name in header if name not in COLUMN_NAMES]
            for batch in _read_rows(source, header, file_id, max_bytes):
                rows_read += batch.num_rows
                yield batch
    except _FileFaultError as found:
        fault = found
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        fault = _FileFaultError("gzip_damaged", str(error))
    except (OSError, pa.ArrowInvalid) as error:
        fault = _FileFaultError("unreadable", str(error))
    yield _footer(file_id, rows_read, fault, extra)


def open_delivered(path: Path) -> IO[bytes]:
    """Open a delivered file for its bytes as they were before packing."""
    if path.name.endswith(".gz"):
        return io.BufferedReader(gzip.open(path, "rb"), _CHUNK_BYTES)
    return path.open("rb", buffering=_CHUNK_BYTES)


def _read_header(source: IO[bytes]) -> list[str]:
    """The column names of the header line; empty for an empty file, which has no rows and no fault."""
    raw = source.readline(_MAX_HEADER_BYTES)
    if not raw:
        return []
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in raw or not _is_utf8(raw):
        raise _FileFaultError("not_utf8", f"the first line is {raw[:60]!r}")
    # Spreadsheets put a byte order mark first, and people vary case and space: neither changes what a name says.
    text = raw.decode("utf-8").removeprefix("\ufeff").strip("\r\n")
    header = [name.strip().lower() for name in next(csv.reader([text]), [])]
    missing = [name for name in COLUMN_NAMES if name not in header]
    if len(missing) == len(COLUMN_NAMES):
        raise _FileFaultError("header_missing", f"the first line is {text[:200]!r}")
    if missing:
        raise _FileFaultError("header_column_missing", f"missing: {', '.join(missing)}")
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise _FileFaultError("header_column_repeated", f"repeated: {', '.join(repeated)}")
    return header


def _read_rows(source: IO[bytes], header: Sequence[str], file_id: int, max_bytes: int) -> Iterator[pa.RecordBatch]:
    """The rows after the header, in order, each with the line that it begins on (the header is line 1)."""
    text = _CleanedText(source, next_line=2, bytes_left=max_bytes)
    invalid: dict[int, str] = {}

    def note_invalid(row: pa_csv.InvalidRow) -> str:
        invalid[row.number] = row.text
        return "skip"

    first = text.read()
    if not first:
        return
    text._pending = first
    reader = pa_csv.open_csv(
        pa.PythonFile(text, "r"),
        read_options=pa_csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES, column_names=header),
        parse_options=pa_csv.ParseOptions(
            newlines_in_values=True, ignore_empty_lines=False, invalid_row_handler=note_invalid
        ),
        # A bare empty field is absent; a quoted empty one is an empty text.
        convert_options=pa_csv.ConvertOptions(
            column_types={name: pa.string() for name in header},
            include_columns=list(COLUMN_NAMES),
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            null_values=[""],
        ),
    )
    records = _RecordLines(invalid)
    for batch in reader:
        yield from records.batches(batch, file_id, text)
    yield from records.rest(file_id)


@dataclass
class _RecordLines:
    """Turns the running number of a record into the line that it begins on, and puts invalid records in between."""

    invalid: dict[int, str]
    next_record: int = 1
    next_line: int = 2

    def batches(self, batch: pa.RecordBatch, file_id: int, text: _CleanedText) -> Iterator[pa.RecordBatch]:
        """The parsed rows, and the invalid records that stand before the last of them."""
        extra_lines = _newlines_per_row(batch)
        lines: list[int] | range
        if extra_lines is None and not self.invalid:
            lines = range(self.next_line, self.next_line + batch.num_rows)
            self.next_record += batch.num_rows
            self.next_line += batch.num_rows
        else:
            lines = []
            ragged: list[int] = []
            for index in range(batch.num_rows):
                ragged += self._pass_invalid()
                lines.append(self.next_line)
                self.next_record += 1
                self.next_line += 1 + (extra_lines[index] if extra_lines else 0)
            yield from _errors(file_id, ragged, "row_ragged")
        yield from _rows(batch, file_id, lines, text)

    def rest(self, file_id: int) -> Iterator[pa.RecordBatch]:
        """The invalid records after the last parsed row."""
        yield from _errors(file_id, self._pass_invalid(), "row_ragged")

    def _pass_invalid(self) -> list[int]:
        lines = []
        while self.next_record in self.invalid:
            lines.append(self.next_line)
            self.next_line += 1 + self.invalid.pop(self.next_record).count("\n")
            self.next_record += 1
        return lines


def _newlines_per_row(batch: pa.RecordBatch) -> list[int] | None:
    """How many line breaks stand inside the fields of each row; None when there are none at all."""
    counts = None
    for column in batch.columns:
        if b"\n" in memoryview(column.buffers()[2] or b"").tobytes():
            found = pc.fill_null(pc.count_substring(column, "\n"), 0)
            counts = found if counts is None else pc.add(counts, found)
    return None if counts is None else counts.to_pylist()


def _rows(batch: pa.RecordBatch, file_id: int, lines: Sequence[int], text: _CleanedText) -> Iterator[pa.RecordBatch]:
    spoilt = {}
    keep = None
    if text.spoilt or text.blank:
        ends = [*lines[1:], (lines[-1] if len(lines) else 0) + 1]
        for index, (line, end) in enumerate(zip(lines, ends, strict=True)):
            for inside in range(line, end):
                if inside in text.spoilt:
                    spoilt[index] = text.spoilt[inside]
        keep = [line not in text.blank and index not in spoilt for index, line in enumerate(lines)]
        yield from _errors(file_id, [lines[index] for index in spoilt], list(spoilt.values()))
    size = batch.num_rows
    read_at = datetime.now(UTC)
    rows = pa.RecordBatch.from_arrays(
        [
            pa.repeat(pa.scalar(file_id, pa.int64()), size),
            pa.array(lines, pa.int64()),
            pa.repeat(pa.scalar(False), size),
            pa.nulls(size, pa.string()),
            pa.nulls(size, pa.string()),
            pa.repeat(pa.scalar(read_at, pa.timestamp("us", tz="UTC")), size),
            pa.repeat(_first_event_id(read_at + timedelta(minutes=FUTURE_TOLERANCE_MINUTES)), size),
            *(batch.column(name) for name in COLUMN_NAMES),
        ],
        schema=READER_SCHEMA,
    )
    rows = rows if keep is None else rows.filter(pa.array(keep))
    if rows.num_rows:
        yield rows


def _first_event_id(instant: datetime) -> str:
    """The smallest UUIDv7 of an instant."""
    return str(UUID(int=round(instant.timestamp() * 1000) << 80))


def _errors(file_id: int, lines: list[int], codes: str | list[str]) -> Iterator[pa.RecordBatch]:
    """Rows that could not be parsed."""
    if lines:
        yield _bare_rows(
            file_id=[file_id] * len(lines),
            line=lines,
            is_footer=[False] * len(lines),
            row_error=[codes] * len(lines) if isinstance(codes, str) else codes,
        )


def _footer(file_id: int, rows_read: int, fault: _FileFaultError | None, extra: list[str]) -> pa.RecordBatch:
    if fault and fault.code not in FILE_FAULTS:
        raise ValueError(f"{fault.code} is not a fault of the contract")
    detail = json.dumps({"fault_detail": fault.detail if fault else None, "extra_columns": extra})
    return _bare_rows(
        file_id=[file_id],
        line=[rows_read],
        is_footer=[True],
        row_error=[fault.code if fault else None],
        detail=[detail],
    )


def _bare_rows(**values: Sequence[object]) -> pa.RecordBatch:
    size = len(values["file_id"])
    return pa.RecordBatch.from_arrays(
        [
            pa.array(values[column.name], column.type) if column.name in values else pa.nulls(size, column.type)
            for column in READER_SCHEMA
        ],
        schema=READER_SCHEMA,
    )
