"""Read a delivered file, or a slice of it, into Arrow record batches of text fields, each row with its line number.

Memory is bounded whatever the file holds. Columns are matched by the names in the header. An empty field is null,
quoted or not: some exporters quote every field, and both forms must give the same event. A row that cannot be parsed
comes out with its reason in ``row_error``, the finding in ``detail``, and no fields. In a parsed row, ``detail`` is the
code of a warning or null. A fault of the whole file ends the reading. The last row is always a footer with the number
of rows read and the fault, if any. The sink checks that number against the rows it stored, and discards the rows of a
faulty file.

The CSV parser sees only complete records. Rows with NUL, with bytes that are not UTF-8, or with a field that goes on
after its closing quote are kept from it, since it could fail on them or silently repair them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from include.contract import COLUMN_NAMES, FILE_FAULTS
from include.contract.evidence import shortened
from include.stream.reading.delivered import Delivered, FileFaultError, open_delivered
from include.stream.reading.header import read_header
from include.stream.reading.records import (
    MAX_RECORD_BYTES,
    START,
    Block,
    LongLine,
    Position,
    RecordScanner,
    misquoted_field,
)

LAST_LINE_UNFINISHED = "last_line_unfinished"

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
    """What was read of a slice, for its footer."""

    start: Position
    end: Position | None = None
    rows_read: int = 0
    size_bytes: int | None = None
    digest: str | None = None
    extra_columns: list[str] = field(default_factory=list)
    fault: FileFaultError | None = None


def read_file(
    path: Path, file_id: int, *, start: Position = START, slice_bytes: int, max_bytes: int
) -> Iterator[pa.RecordBatch]:
    """Read a CSV file, gzipped when its name ends in ``.gz``, or a slice of it.

    Parameters
    ----------
    path, file_id:
        The file, and the id to put into its rows.
    start:
        Where the slice begins: START, or the end of the slice before.
    slice_bytes:
        Length of a slice. It ends at the first boundary between records at or after this many bytes.
    max_bytes:
        Largest unpacked size that the file may have.

    Yields
    ------
    pyarrow.RecordBatch
        With READER_SCHEMA. The last one is the footer: ``is_footer`` true, ``line`` the number of rows read,
        ``row_error`` a code of FILE_FAULTS or null, and ``detail`` a JSON object. That object has ``fault_detail``,
        ``extra_columns``, the ``size_bytes`` and ``digest`` of the file as delivered (the digest in the first slice
        only), and the ``start`` and ``end`` of the slice; the end is null when nothing is left.
    """
    part = _Part(start)
    try:
        with open_delivered(path, max_bytes) as file:
            part.size_bytes = file.size_bytes
            file.check_size()
            if start == START:
                part.digest = file.digest()
            for batch in _read_part(file, part, file_id, start.byte + slice_bytes):
                part.rows_read += batch.num_rows
                yield batch
            if start == START:
                file.verify_rest()
    except FileFaultError as fault:
        part.fault, part.end = fault, None
    yield _footer(file_id, part)


def _read_part(file: Delivered, part: _Part, file_id: int, stop: int) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a slice, and fill ``part`` for the footer."""
    scanner = RecordScanner(file)
    header = read_header(scanner)
    part.extra_columns = [name for name in header if name and name not in COLUMN_NAMES]
    if part.start != START:
        file.seek(part.start.byte)
        scanner = RecordScanner(file, part.start)
    parser = _Parser(file_id, header, part.extra_columns)
    # Unknown columns can take more room in a batch than in the file, because each row repeats their names.
    while scanner.position.byte + parser.extra_bytes < stop and (piece := scanner.next(stop)):
        if isinstance(piece, LongLine):
            yield _errors(file_id, [piece.line], ["row_too_long"], [_too_long(piece)])
        else:
            yield from parser.rows(piece)
    part.end = None if scanner.is_finished() else scanner.position


@dataclass
class _Parser:
    """Parse blocks of records under one header."""

    file_id: int
    header: Sequence[str]
    extra_columns: Sequence[str]
    extra_bytes: int = 0

    def __post_init__(self) -> None:
        self._convert = pa_csv.ConvertOptions(
            # Checked before, more strictly.
            check_utf8=False,
            column_types={name: pa.string() for name in self.header},
            include_columns=[*COLUMN_NAMES, *self.extra_columns, *([""] if "" in self.header else [])],
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,
            null_values=[""],
        )

    def rows(self, block: Block) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a block; those that cannot be parsed come first."""
        corrupted = _corrupted(block)
        if corrupted:
            codes, details = zip(*corrupted.values(), strict=True)
            yield _errors(self.file_id, block.lines[list(corrupted)], codes, details)
            is_clean = np.ones(len(block.lines), bool)
            is_clean[list(corrupted)] = False
            block = block.only(is_clean)
        if not block.data:
            return
        fields, ragged = self._parse(block)
        lines = block.lines
        if ragged:
            yield _errors(self.file_id, lines[list(ragged)], ["row_ragged"] * len(ragged), list(ragged.values()))
            lines = np.delete(lines, list(ragged))
        if fields.num_rows != len(lines):
            raise RuntimeError(
                f"file {self.file_id}: the parser sees {fields.num_rows + len(ragged)} records where there are "
                f"{len(block.lines)}, from line {block.lines[0]} on; please report this file"
            )
        unfinished_line = int(block.lines[-1]) if block.is_unfinished else None
        if "" in self.header and fields.column("").null_count < fields.num_rows:
            is_nameless = pc.is_valid(fields.column("")).to_numpy()
            detail = [f"column {len(self.header)} has no name, but this row has a value in it"]
            count = int(is_nameless.sum())
            yield _errors(self.file_id, lines[is_nameless], ["row_ragged"] * count, detail * count)
            fields, lines = fields.filter(pa.array(~is_nameless)), lines[~is_nameless]
        step = _rows_per_batch(self.extra_columns)
        for first in range(0, len(lines), step):
            yield self._batch(fields.slice(first, step), lines[first : first + step], unfinished_line)

    def _parse(self, block: Block) -> tuple[pa.Table, dict[int, str]]:
        """Parse the records that have as many fields as the header.

        Returns
        -------
        tuple
            The fields, and for each of the other records its index and the finding.
        """
        ragged: dict[int, str] = {}

        def note_ragged(row: pa_csv.InvalidRow) -> str:
            fields = "1 field" if row.actual_columns == 1 else f"{row.actual_columns} fields"
            ragged[row.number - 1] = f"{fields}, the header has {row.expected_columns}"
            return "skip"

        fields = pa_csv.read_csv(
            pa.BufferReader(block.data),
            # The whole block is parsed at once, so line ends inside quotes work without an option for them, which would
            # cost time.
            read_options=pa_csv.ReadOptions(
                use_threads=False, block_size=2 * MAX_RECORD_BYTES, column_names=list(self.header)
            ),
            parse_options=pa_csv.ParseOptions(ignore_empty_lines=False, invalid_row_handler=note_ragged),
            convert_options=self._convert,
        )
        return fields, ragged

    def _batch(self, fields: pa.Table, lines: np.ndarray, unfinished_line: int | None) -> pa.RecordBatch:
        size = len(lines)
        detail = pa.nulls(size, pa.string())
        if unfinished_line == lines[-1]:
            detail = pa.array([*[None] * (size - 1), LAST_LINE_UNFINISHED], pa.string())
        return pa.RecordBatch.from_arrays(
            [
                pa.repeat(pa.scalar(self.file_id, pa.int64()), size),
                pa.array(lines, pa.int64()),
                pa.repeat(pa.scalar(False), size),
                pa.nulls(size, pa.string()),
                detail,
                self._extra(fields),
                *(fields.column(name).combine_chunks() for name in COLUMN_NAMES),
            ],
            schema=READER_SCHEMA,
        )

    def _extra(self, fields: pa.Table) -> pa.Array:
        """Return the unknown columns of each row as a JSON object; null when the file has no such columns."""
        if not self.extra_columns:
            return pa.nulls(fields.num_rows, pa.string())
        columns = [fields.column(name).to_pylist() for name in self.extra_columns]
        texts = [_extra_json(dict(zip(self.extra_columns, row, strict=True))) for row in zip(*columns, strict=True)]
        extra = pa.array(texts, pa.string())
        self.extra_bytes += extra.nbytes
        return extra


def _rows_per_batch(extra_columns: Sequence[str]) -> int:
    """Return how many rows of empty unknown columns fit into _EXTRA_BYTES_PER_BATCH."""
    empty = len(_extra_json(dict.fromkeys(extra_columns)))
    return max(1, _EXTRA_BYTES_PER_BATCH // empty)


def _corrupted(block: Block) -> dict[int, tuple[str, str | None]]:
    """Return the records that must not reach the parser: the reason and the finding, by index."""
    found: dict[int, tuple[str, str | None]] = {
        index: ("row_misquoted", _misquoted(block.records(index, index + 1)))
        for index in np.flatnonzero(block.is_misquoted).tolist()
    }
    # Bisection finds a few bad records among thousands without checking each.
    runs = [(0, len(block.lines))]
    while runs:
        first, last = runs.pop()
        text = block.records(first, last)
        has_nul = b"\0" in text
        if not has_nul and _is_utf8(text):
            continue
        if last - first == 1:
            found[first] = ("row_has_nul" if has_nul else "row_not_utf8", None)
        else:
            middle = (first + last) // 2
            runs += [(middle, last), (first, middle)]
    return found


def _is_utf8(text: bytes) -> bool:
    """Return whether a text is strictly UTF-8, with neither overlong forms nor surrogates."""
    try:
        return text.isascii() or text.decode("utf-8") != ""
    except UnicodeDecodeError:
        return False


def _too_long(line: LongLine) -> str:
    if line.size > MAX_RECORD_BYTES:
        return f"its first line has {line.size:,} bytes"
    return "a quote in its first line is not closed within 1 MiB"


def _misquoted(record: bytes) -> str:
    return shortened(misquoted_field(record.decode("utf-8", "backslashreplace").rstrip("\r\n")))


def _errors(
    file_id: int, lines: Sequence[int] | np.ndarray, codes: Sequence[str], details: Sequence[str | None]
) -> pa.RecordBatch:
    """Return rows that could not be parsed, each with the finding."""
    size = len(codes)
    return _bare_rows(file_id=[file_id] * size, line=lines, is_footer=[False] * size, row_error=codes, detail=details)


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
