"""One micro-batch as the sink sees it: flagged rows from Spark, taken apart without a row falling in between."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.contract import COLUMN_NAMES, RULES, WARN_RULES
from include.stream.records import Position

# Set by the job's flag(): bit i is set when rule i of the contract is broken.
BROKEN_RULES = "broken_rules"

_REJECT_BITS = np.int64(sum(1 << bit for bit, rule in enumerate(RULES) if rule.severity == "reject"))


@dataclass(frozen=True)
class Footer:
    """The end of one file, or of a part of it.

    Parameters
    ----------
    file_id, read:
        The file, and how many rows its reader saw.
    fault, fault_detail:
        What was wrong with the file as a whole.
    extra_columns:
        Columns of the file that the contract does not know.
    digest:
        SHA-256 of the file as it was delivered; only the first part has it.
    size_bytes:
        Of the file as it was delivered, when it was read.
    start, end:
        Where the part begins, and where the next one does; None when the file is finished.
    """

    file_id: int
    read: int
    fault: str | None
    fault_detail: str | None
    extra_columns: list[str]
    digest: str | None
    size_bytes: int | None
    start: Position
    end: Position | None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Footer:
        """The footer in a footer row."""
        detail = json.loads(row["detail"])
        end = detail.pop("end")
        return cls(
            row["file_id"],
            row["line"],
            row["row_error"],
            start=Position(**detail.pop("start")),
            end=Position(**end) if end else None,
            **detail,
        )

    @property
    def state(self) -> str:
        """The state of the file after this part."""
        if self.fault:
            return "quarantined"
        return "loaded" if self.end is None else "admitted"


def footers_of(flagged: pa.Table) -> dict[int, Footer]:
    """The footers of the files in the batch, by file id."""
    ends = flagged.filter(flagged["is_footer"]).select(["file_id", "line", "row_error", "detail"])
    return {row["file_id"]: Footer.of(row) for row in ends.to_pylist()}


def split(flagged: pa.Table, file_ids: Collection[int]) -> tuple[pa.Table, pa.Table]:
    """Take the rows of the given files apart into those that passed every rejecting rule and those that did not.

    One mask and its complement over flags that are never null: each row is in exactly one of the two.
    """
    is_row = pc.and_(
        pc.invert(flagged["is_footer"]), pc.is_in(flagged["file_id"], value_set=pa.array(file_ids, pa.int64()))
    )
    rows = flagged.filter(is_row)
    is_failed = pa.array(rows[BROKEN_RULES].to_numpy() & _REJECT_BITS != 0)
    return rows.filter(pc.invert(is_failed)), rows.filter(is_failed)


def reasons_of(broken_rules: int) -> list[str]:
    """The codes of the rejecting rules in a row's flags, in the order of the contract."""
    return [rule.code for bit, rule in enumerate(RULES) if rule.severity == "reject" and broken_rules >> bit & 1]


def warnings_of(accepted: pa.Table) -> dict[str, int]:
    """How many accepted rows broke each warning rule; rules that none broke are absent."""
    flags = accepted[BROKEN_RULES].to_numpy()
    counts = {rule.code: int(np.count_nonzero(flags >> RULES.index(rule) & 1)) for rule in WARN_RULES}
    return {code: count for code, count in counts.items() if count}


def rows_per_file(table: pa.Table) -> dict[int, int]:
    """Number of rows by file id."""
    counts = pc.value_counts(table["file_id"])
    return dict(zip(counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True))


def minute_rollup(accepted: pa.Table) -> list[tuple[object, ...]]:
    """Sums of the accepted rows for ``shop.rollup_minute``.

    Returns
    -------
    list of tuple
        (minute, event_type, category, currency, events, quantity, amount), amount as an exact decimal.
    """
    quantity = pc.fill_null(accepted["quantity"], 0)
    # decimal(12,2) times decimal(4,0) needs 17 digits; the sum of a batch has room in 38.
    amount = pc.multiply(accepted["unit_price"], quantity.cast(pa.decimal128(10, 0)))
    sums = (
        pa.table(
            {
                "minute": pc.floor_temporal(accepted["event_time"], unit="minute"),
                "event_type": accepted["event_type"],
                "category": accepted["category"],
                "currency": accepted["currency"],
                "quantity": quantity,
                "amount": amount,
            }
        )
        .group_by(["minute", "event_type", "category", "currency"])
        .aggregate([([], "count_all"), ("quantity", "sum"), ("amount", "sum")])
        .select(["minute", "event_type", "category", "currency", "count_all", "quantity_sum", "amount_sum"])
    )
    return [tuple(row.values()) for row in sums.to_pylist()]


def event_days(accepted: pa.Table) -> set[int]:
    """The days since 1970 that the ids of the rows may fall on, from the time inside the ids."""
    # Eight hexadecimal digits of a UUIDv7 are its milliseconds without the last 16 bits: steps of 65.536 seconds.
    prefixes = pc.unique(pc.utf8_slice_codeunits(accepted["event_id"], 0, 8)).to_pylist()
    starts = [int(prefix, 16) << 16 for prefix in prefixes]
    return {(start + within) // 86_400_000 for start in starts for within in (0, 0xFFFF)}


def event_time_range(accepted: pa.Table) -> dict[str, object]:
    """The first and the last event_time, both None for no rows."""
    ends = pc.min_max(accepted["event_time"])
    return {"min_event_time": ends["min"].as_py(), "max_event_time": ends["max"].as_py()}


def event_columns(accepted: pa.Table) -> pa.Table:
    """The columns of the contract, the unknown ones and the file id: what ``shop.events`` takes from the batch."""
    return accepted.select([*COLUMN_NAMES, "extra", "file_id"])
