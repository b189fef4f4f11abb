"""Reads one delivered file, or a part of it, into Arrow record batches of text fields, each row with its line.

Memory is bounded, whatever the file holds. Columns are matched by the names in the header. A row that cannot be parsed
comes out with its reason in ``row_error`` and no fields; a fault of the whole file ends the reading. What is read ends
with one footer row, which carries the number of rows read and the fault, if any: the sink checks the former against
what it stored, and discards the rows of a file that has the latter.

The CSV parser sees nothing that could hurt it or be mended by it in silence: records come to it whole, and rows with
NUL or with bytes that are not UTF-8 do not come to it at all.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from include.contract import COLUMN_NAMES, FILE_FAULTS
from include.stream.delivered import Delivered, FileFaultError, open_delivered
from include.stream.records import MAX_RECORD_BYTES, START, Block, LongLine, Position, RecordScanner, split_fields

# The text that a row gets beside its contract columns names the unknown ones, so a header of any length would multiply
# the file: a thousand names as long as PostgreSQL allows is more than any table has.
MAX_COLUMNS = 1000
MAX_HEADER_BYTES = 64 * 1024
_EXTRA_BYTES_PER_BATCH = 8 * 1024 * 1024

READER_SCHEMA = pa.schema(
    [
        pa.field("file_id", pa.int64()),
        pa.field("line", pa.int64()),
        pa.field("is_footer", pa.bool_()),
        pa.field("row_error", pa.string()),
        pa.field("detail", pa.string()),
        pa.field("extra", pa.string()),
        *(pa.field(name, pa.string()) for name in COLUMN_NAMES),
    ]
)

_extra_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass
class _Part:
    """What was read, for the footer."""

    start: Position
    end: Position | None = None
    rows_read: int = 0
    size_bytes: int | None = None
    digest: str | None = None
    extra_columns: list[str] = field(default_factory=list)
    fault: FileFaultError | None = None


def read_file(
    path: Path, file_id: int, *, start: Position = START, part_bytes: int, max_bytes: int
) -> Iterator[pa.RecordBatch]:
    """Read a CSV file, gzipped when its name ends in ``.gz``, or a part of it.

    Parameters
    ----------
    path, file_id:
        The file, and its id for the rows.
    start:
        Where the part begins: START, or the end of the part before.
    part_bytes:
        How long a part is. It ends at the first boundary between records there.
    max_bytes:
        Most bytes that the file may have, unpacked.

    Yields
    ------
    pyarrow.RecordBatch
        With READER_SCHEMA. The last one is the footer: ``is_footer`` true, ``line`` the number of rows read,
        ``row_error`` a code of FILE_FAULTS or null, ``detail`` JSON with ``fault_detail``, ``extra_columns``,
        ``size_bytes`` and ``digest`` of the file as it was delivered (the latter in its first part only), and the
        ``start`` and ``end`` of the part; the end is null when nothing is left.
    """
    part = _Part(start)
    try:
        with open_delivered(path, max_bytes) as file:
            part.size_bytes = file.size_bytes
            file.check_size()
            if start == START:
                part.digest = file.digest()
            for batch in _read_part(file, part, file_id, start.byte + part_bytes):
                part.rows_read += batch.num_rows
                yield batch
            if start == START:
                file.verify_rest()
    except FileFaultError as fault:
        part.fault, part.end = fault, None
    yield _footer(file_id, part)


def _read_part(file: Delivered, part: _Part, file_id: int, stop: int) -> Iterator[pa.RecordBatch]:
    """The rows of a part, and in ``part`` what there is to say about it."""
    scanner = RecordScanner(file)
    header = _read_header(scanner)
    part.extra_columns = [name for name in header if name not in COLUMN_NAMES]
    if part.start != START:
        file.seek(part.start.byte)
        scanner = RecordScanner(file, part.start)
    parser = _Parser(file_id, header, part.extra_columns)
    # Unknown columns can take more room in a batch than in the file, with their names in each row.
    while scanner.position.byte + parser.extra_bytes < stop and (piece := scanner.next(stop)):
        if isinstance(piece, LongLine):
            yield _errors(file_id, [piece.line], ["row_too_long"])
        else:
            yield from parser.rows(piece)
    part.end = None if scanner.is_finished() else scanner.position


def _read_header(scanner: RecordScanner) -> list[str]:
    """The column names of the first record; empty for an empty file, which has no rows and no fault."""
    piece = scanner.next(stop=1)
    if piece is None:
        return []
    raw = piece.head if isinstance(piece, LongLine) else piece.data
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in raw or not _is_utf8(raw):
        raise FileFaultError("not_utf8", f"the first line is {raw[:60]!r}")
    text = raw.decode("utf-8").strip("\r\n")
    if isinstance(piece, LongLine) and piece.size <= MAX_RECORD_BYTES:
        raise FileFaultError("header_missing", f"a quote in the first line is never closed: {text[:200]!r}")
    # People vary case and space: neither changes what a name says.
    header = [name.strip().lower() for name in split_fields(text)] if len(raw) <= MAX_HEADER_BYTES else []
    if len(raw) > MAX_HEADER_BYTES or len(header) > MAX_COLUMNS:
        size = piece.size if isinstance(piece, LongLine) else len(raw)
        raise FileFaultError("header_too_wide", f"{size:,} bytes, {text.count(',') + 1:,} columns: {text[:200]!r}")
    missing = [name for name in COLUMN_NAMES if name not in header]
    if len(missing) == len(COLUMN_NAMES):
        raise FileFaultError("header_missing", f"the first line is {text[:200]!r}")
    if missing:
        raise FileFaultError("header_column_missing", f"missing: {', '.join(missing)}")
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise FileFaultError("header_column_repeated", f"repeated: {', '.join(repeated)}")
    return header


@dataclass
class _Parser:
    """Parses blocks of records under a header."""

    file_id: int
    header: Sequence[str]
    extra_columns: Sequence[str]
    extra_bytes: int = 0

    def __post_init__(self) -> None:
        self._convert = pa_csv.ConvertOptions(
            # Checked before, and more strictly.
            check_utf8=False,
            column_types={name: pa.string() for name in self.header},
            include_columns=[*COLUMN_NAMES, *self.extra_columns],
            # A bare empty field is absent; a quoted empty one is an empty text.
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            null_values=[""],
        )

    def rows(self, block: Block) -> Iterator[pa.RecordBatch]:
        """The rows of a block; those that cannot be parsed come first."""
        spoilt = _spoilt(block)
        if spoilt:
            yield _errors(self.file_id, block.lines[list(spoilt)], list(spoilt.values()))
            is_clean = np.ones(len(block.lines), bool)
            is_clean[list(spoilt)] = False
            block = block.only(is_clean)
        if not block.data:
            return
        fields, ragged = self._parse(block)
        lines = block.lines
        if ragged:
            yield _errors(self.file_id, lines[ragged], ["row_ragged"] * len(ragged))
            lines = np.delete(lines, ragged)
        if fields.num_rows != len(lines):
            raise RuntimeError(
                f"file {self.file_id}: the parser sees {fields.num_rows + len(ragged)} records where there are "
                f"{len(block.lines)}, from line {block.lines[0]} on; please report this file"
            )
        step = _rows_per_batch(self.extra_columns)
        for first in range(0, len(lines), step):
            yield self._batch(fields.slice(first, step), lines[first : first + step])

    def _parse(self, block: Block) -> tuple[pa.Table, list[int]]:
        """The fields of the rows that have as many as the header, and the indices of the other records."""
        ragged: list[int] = []

        def note_ragged(row: pa_csv.InvalidRow) -> str:
            ragged.append(row.number - 1)
            return "skip"

        fields = pa_csv.read_csv(
            pa.BufferReader(block.data),
            # The whole block is parsed at once, so that line ends inside quotes need no option, which costs time.
            read_options=pa_csv.ReadOptions(
                use_threads=False, block_size=2 * MAX_RECORD_BYTES, column_names=list(self.header)
            ),
            parse_options=pa_csv.ParseOptions(ignore_empty_lines=False, invalid_row_handler=note_ragged),
            convert_options=self._convert,
        )
        return fields, ragged

    def _batch(self, fields: pa.Table, lines: np.ndarray) -> pa.RecordBatch:
        size = len(lines)
        return pa.RecordBatch.from_arrays(
            [
                pa.repeat(pa.scalar(self.file_id, pa.int64()), size),
                pa.array(lines, pa.int64()),
                pa.repeat(pa.scalar(False), size),
                pa.nulls(size, pa.string()),
                pa.nulls(size, pa.string()),
                self._extra(fields),
                *(fields.column(name).combine_chunks() for name in COLUMN_NAMES),
            ],
            schema=READER_SCHEMA,
        )

    def _extra(self, fields: pa.Table) -> pa.Array:
        """The fields of the unknown columns of each row as a JSON object; null when there are no such columns."""
        if not self.extra_columns:
            return pa.nulls(fields.num_rows, pa.string())
        columns = [fields.column(name).to_pylist() for name in self.extra_columns]
        texts = [_extra_json(dict(zip(self.extra_columns, row, strict=True))) for row in zip(*columns, strict=True)]
        extra = pa.array(texts, pa.string())
        self.extra_bytes += extra.nbytes
        return extra


def _rows_per_batch(extra_columns: Sequence[str]) -> int:
    """Rows whose unknown columns, when empty, take at most _EXTRA_BYTES_PER_BATCH."""
    empty = len(_extra_json(dict.fromkeys(extra_columns)))
    return max(1, _EXTRA_BYTES_PER_BATCH // empty)


def _spoilt(block: Block) -> dict[int, str]:
    """The records that PostgreSQL cannot store, by index, each with its reason."""
    found = {}
    # Halving finds a few of them among thousands without a look at each.
    runs = [(0, len(block.lines))]
    while runs:
        first, last = runs.pop()
        text = block.records(first, last)
        has_nul = b"\0" in text
        if not has_nul and _is_utf8(text):
            continue
        if last - first == 1:
            found[first] = "row_has_nul" if has_nul else "row_not_utf8"
        else:
            middle = (first + last) // 2
            runs += [(middle, last), (first, middle)]
    return found


def _is_utf8(text: bytes) -> bool:
    """Strictly: neither overlong forms nor surrogates."""
    try:
        return text.isascii() or text.decode("utf-8") != ""
    except UnicodeDecodeError:
        return False


def _errors(file_id: int, lines: Sequence[int] | np.ndarray, codes: Sequence[str]) -> pa.RecordBatch:
    """Rows that could not be parsed."""
    size = len(codes)
    return _bare_rows(file_id=[file_id] * size, line=lines, is_footer=[False] * size, row_error=codes)


def _footer(file_id: int, part: _Part) -> pa.RecordBatch:
    fault = part.fault
    if fault and fault.code not in FILE_FAULTS:
        raise ValueError(f"{fault.code} is not a fault of the contract")
    detail = {
        "fault_detail": fault.detail if fault else None,
        "extra_columns": part.extra_columns,
        "digest": part.digest,
        "size_bytes": part.size_bytes,
        "start": asdict(part.start),
        "end": asdict(part.end) if part.end else None,
    }
    return _bare_rows(
        file_id=[file_id],
        line=[part.rows_read],
        is_footer=[True],
        row_error=[fault.code if fault else None],
        detail=[json.dumps(detail)],
    )


def _bare_rows(**values: Sequence[object] | np.ndarray) -> pa.RecordBatch:
    size = len(values["file_id"])
    return pa.RecordBatch.from_arrays(
        [
            pa.array(values[column.name], column.type) if column.name in values else pa.nulls(size, column.type)
            for column in READER_SCHEMA
        ],
        schema=READER_SCHEMA,
    )
