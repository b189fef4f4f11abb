"""A part of a micro-batch as the sink sees it: judged rows, taken apart without a row falling in between."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.contract import COLUMN_NAMES, RULES, WARN_RULES
from include.contract.fields import Mask, cents, id_milliseconds
from include.stream.judge import BROKEN_RULES
from include.stream.records import Position

_MINUTE_US = 60_000_000
_DAY_MS = 86_400_000
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


def footers_of(judged: pa.Table) -> dict[int, Footer]:
    """The footers of the files in the table, by file id."""
    ends = judged.filter(judged["is_footer"]).select(["file_id", "line", "row_error", "detail"])
    return {row["file_id"]: Footer.of(row) for row in ends.to_pylist()}


def split(judged: pa.Table, file_ids: Collection[int]) -> tuple[Mask, Mask]:
    """Which rows of the given files passed every rejecting rule, and which did not.

    One mask and its complement over flags that are never null: each row is in exactly one of the two.
    """
    is_row = pc.and_(
        pc.invert(judged["is_footer"]), pc.is_in(judged["file_id"], value_set=pa.array(file_ids, pa.int64()))
    ).to_numpy()
    is_failed = judged[BROKEN_RULES].to_numpy() & _REJECT_BITS != 0
    return is_row & ~is_failed, is_row & is_failed


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


def minute_sums(accepted: pa.Table) -> pa.Table:
    """Sums of the accepted rows for ``shop.rollup_minute``.

    Returns
    -------
    pyarrow.Table
        minute (minutes since 1970), event_type, category, currency, events, quantity, and the amount in hundredths of
        the currency: for :func:`rollup_rows`, which adds up the parts of a batch.
    """
    quantity = pc.fill_null(accepted["quantity"], 0).cast(pa.int64())
    minute = pc.divide(accepted["event_time"].cast(pa.int64()), _MINUTE_US)
    # A price of twelve digits times a thousand fits into 64 bits; a sum of those need not.
    price = pa.chunked_array([cents(chunk) for chunk in accepted["unit_price"].chunks], pa.int64())
    rows = pa.table(
        {
            "minute": minute,
            **{name: accepted[name] for name in ("event_type", "category", "currency")},
            "quantity": quantity,
            "cents": pc.multiply(price, quantity).cast(pa.decimal128(38, 0)),
        }
    )
    return _summed(rows.append_column("events", pa.repeat(1, rows.num_rows)))


def rollup_rows(sums: Sequence[pa.Table]) -> list[tuple[object, ...]]:
    """The sums of several parts together.

    Returns
    -------
    list of tuple
        (minute, event_type, category, currency, events, quantity, amount), amount as an exact decimal.
    """
    if not sums:
        return []
    return [
        (
            datetime.fromtimestamp(60 * row["minute"], UTC),
            *(row[name] for name in ("event_type", "category", "currency", "events", "quantity")),
            row["cents"].scaleb(-2),
        )
        for row in _summed(pa.concat_tables(sums)).to_pylist()
    ]


def _summed(rows: pa.Table) -> pa.Table:
    keys = ["minute", "event_type", "category", "currency"]
    numbers = ["events", "quantity", "cents"]
    summed = rows.group_by(keys).aggregate([(name, "sum") for name in numbers])
    return summed.rename_columns([*keys, *numbers])


def event_days(accepted: pa.Table) -> set[int]:
    """The days since 1970 that the ids of the rows fall on, by the time inside the ids."""
    days = [np.unique(id_milliseconds(chunk) // _DAY_MS) for chunk in accepted["event_id"].chunks]
    return set(np.concatenate(days).tolist()) if days else set()


def event_time_range(accepted: pa.Table) -> tuple[datetime, datetime]:
    """The first and the last event_time of one row or more."""
    ends = pc.min_max(accepted["event_time"])
    return ends["min"].as_py(), ends["max"].as_py()


def event_columns(accepted: pa.Table) -> pa.Table:
    """The columns of the contract, the unknown ones and the file id: what ``shop.events`` takes from the batch."""
    return accepted.select([*COLUMN_NAMES, "extra", "file_id"])
