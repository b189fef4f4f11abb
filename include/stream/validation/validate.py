"""Validate rows by the contract: text fields in, typed values and flags of the broken rules out."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from include.contract import COLUMN_NAMES, RULES
from include.contract.evidence import evidence
from include.contract.fields import ARROW_TYPES, Fields
from include.stream.reading.csv_reader import LAST_LINE_UNFINISHED, READER_SCHEMA

BROKEN_RULES = "broken_rules"

_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_FLAGS = {rule.code: 1 << bit for bit, rule in enumerate(RULES)}
_VALUE_RULES = [rule for rule in RULES if rule.column is not None and rule.severity == "reject"]
_VALUE_FLAGS = np.int64(sum(_FLAGS[rule.code] for rule in _VALUE_RULES))
_BEFORE = [field for field in READER_SCHEMA if field.name not in COLUMN_NAMES]

VALIDATED_SCHEMA = pa.schema(
    [
        *_BEFORE,
        *(pa.field(name, ARROW_TYPES[name]) for name in COLUMN_NAMES),
        pa.field(BROKEN_RULES, pa.int64()),
    ]
)


def flag_of(code: str) -> int:
    """Return the bit of a rule in ``broken_rules``."""
    return _FLAGS[code]


def validate(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Validate the rows that :func:`include.stream.reading.csv_reader.read_file` yields.

    No row is dropped. A row that could not be parsed has no fields to validate, so only its parse error is flagged.
    Footers are not rows and break no rule.

    Yields
    ------
    pyarrow.RecordBatch
        With VALIDATED_SCHEMA: the typed columns of the contract, null where a field does not parse, and
        ``broken_rules``, whose bit i is set when rule i of the contract is broken; it is never null. ``detail`` of a
        row is a JSON object of the findings by rule code, or null.
    """
    for batch in batches:
        yield _validated(batch)


def _validated(batch: pa.RecordBatch) -> pa.RecordBatch:
    size = batch.num_rows
    detail = batch["detail"]
    # The reader never mixes rows, unparsed rows and footers in one batch.
    if batch["is_footer"][0].as_py():
        flags, columns = np.zeros(size, np.int64), _nothing(size)
    elif batch["row_error"].null_count < size:
        codes = pc.dictionary_encode(batch["row_error"])
        flags = np.array([_FLAGS[code] for code in codes.dictionary.to_pylist()])[codes.indices.to_numpy()]
        columns = _nothing(size)
        found = zip(batch["row_error"].to_pylist(), detail.to_pylist(), strict=True)
        detail = pa.array([_json({code: text}) if text else None for code, text in found], pa.string())
    else:
        fields = Fields({name: batch[name] for name in COLUMN_NAMES}, time.time_ns() // 1000)
        flags = _broken_rules(fields, size)
        if detail.null_count < size:
            flags[pc.is_valid(detail).to_numpy(zero_copy_only=False)] |= _FLAGS[LAST_LINE_UNFINISHED]
        detail = _evidence(fields, flags)
        columns = [fields.typed(name) for name in COLUMN_NAMES]
    return pa.RecordBatch.from_arrays(
        [
            *(detail if field.name == "detail" else batch[field.name] for field in _BEFORE),
            *columns,
            pa.array(flags),
        ],
        schema=VALIDATED_SCHEMA,
    )


def _evidence(fields: Fields, flags: NDArray[np.int64]) -> pa.StringArray:
    """Return the values that break a rejecting rule: for each row a JSON object by rule code, or null."""
    found: dict[int, dict[str, str]] = {}
    if (flags & _VALUE_FLAGS).any():
        for rule in _VALUE_RULES:
            rows = np.flatnonzero(flags & _FLAGS[rule.code])
            if rows.size:
                assert rule.column is not None
                for row, value in zip(rows.tolist(), fields.texts(rule.column, rows), strict=True):
                    found.setdefault(row, {})[rule.code] = evidence(rule, value or "")
    if not found:
        return pa.nulls(len(flags), pa.string())
    return pa.array([_json(found[row]) if row in found else None for row in range(len(flags))], pa.string())


def _nothing(size: int) -> list[pa.Array]:
    return [pa.nulls(size, ARROW_TYPES[name]) for name in COLUMN_NAMES]


def _broken_rules(fields: Fields, size: int) -> NDArray[np.int64]:
    flags = np.zeros(size, np.int64)
    for rule in RULES:
        if rule.predicate is not None:
            holds = rule.predicate(fields)
            if not holds.all():
                flags[~holds] |= _FLAGS[rule.code]
    return flags
