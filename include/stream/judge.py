"""Judges rows by the contract: text fields in, typed values and the flags of every broken rule out."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from include.contract import COLUMN_NAMES, RULES
from include.contract.fields import ARROW_TYPES, Fields
from include.stream.csv_reader import READER_SCHEMA

BROKEN_RULES = "broken_rules"

_FLAGS = {rule.code: 1 << bit for bit, rule in enumerate(RULES)}
_BEFORE = [field for field in READER_SCHEMA if field.name not in COLUMN_NAMES]

JUDGED_SCHEMA = pa.schema(
    [
        *_BEFORE,
        *(pa.field(name, ARROW_TYPES[name]) for name in COLUMN_NAMES),
        pa.field(BROKEN_RULES, pa.int64()),
    ]
)


def judge(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Judge what :func:`include.stream.csv_reader.read_file` yields.

    Judging drops nothing. A row that could not be parsed has no fields to judge, so only its parse error is flagged.
    Footers are not rows and break nothing.

    Yields
    ------
    pyarrow.RecordBatch
        With JUDGED_SCHEMA: the typed columns of the contract, null where a field does not parse, and ``broken_rules``,
        whose bit i is set when rule i of the contract does not hold; it is never null.
    """
    for batch in batches:
        yield _judged(batch)


def _judged(batch: pa.RecordBatch) -> pa.RecordBatch:
    size = batch.num_rows
    # The reader yields rows, unparsed rows and footers in batches of their own.
    if batch["is_footer"][0].as_py():
        flags, columns = np.zeros(size, np.int64), _nothing(size)
    elif batch["row_error"].null_count < size:
        codes = pc.dictionary_encode(batch["row_error"])
        flags = np.array([_FLAGS[code] for code in codes.dictionary.to_pylist()])[codes.indices.to_numpy()]
        columns = _nothing(size)
    else:
        fields = Fields({name: batch[name] for name in COLUMN_NAMES}, time.time_ns() // 1000)
        flags = _broken_rules(fields, size)
        columns = [fields.typed(name) for name in COLUMN_NAMES]
    return pa.RecordBatch.from_arrays(
        [*(batch[field.name] for field in _BEFORE), *columns, pa.array(flags)], schema=JUDGED_SCHEMA
    )


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
