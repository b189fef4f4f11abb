"""Split a slice of validated rows for the sink, so that every row ends up in exactly one place."""

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
from include.stream.reading.records import Position
from include.stream.validation.validate import BROKEN_RULES

_MINUTE_US = 60_000_000
_DAY_MS = 86_400_000
_REJECT_BITS = np.int64(sum(1 << bit for bit, rule in enumerate(RULES) if rule.severity == "reject"))


@dataclass(frozen=True)
class Footer:
    """The end of a file or of a slice of it.

    Parameters
    ----------
    file_id, read:
        The file, and the number of rows that its reader saw.
    fault, fault_detail:
        The fault of the file as a whole; None when there is none.
    extra_columns:
        Columns of the file that are not in the contract.
    digest:
        SHA-256 of the file as delivered; only the first slice has it.
    size_bytes:
        Size of the file as delivered, at the time it was read.
    start, end:
        Where this slice begins and where the next one does; the end is None when the file is finished.
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
        """Parse a footer row."""
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
        """The state of the file after this slice."""
        if self.fault:
            return "quarantined"
        return "loaded" if self.end is None else "admitted"


def footers_of(validated: pa.Table) -> dict[int, Footer]:
    """Return the footers of the files in the table, by file id."""
    ends = validated.filter(validated["is_footer"]).select(["file_id", "line", "row_error", "detail"])
    return {row["file_id"]: Footer.of(row) for row in ends.to_pylist()}


def split(validated: pa.Table, file_ids: Collection[int]) -> tuple[Mask, Mask]:
    """Return two masks of the given files' rows: those that passed every rejecting rule, and those that did not.

    The second mask is the complement of the first over flags that are never null, so each row is in exactly one of the
    two.
    """
    is_row = pc.and_(
        pc.invert(validated["is_footer"]), pc.is_in(validated["file_id"], value_set=pa.array(file_ids, pa.int64()))
    ).to_numpy()
    is_failed = validated[BROKEN_RULES].to_numpy() & _REJECT_BITS != 0
    return is_row & ~is_failed, is_row & is_failed


def reasons_of(broken_rules: int) -> list[str]:
    """Return the codes of the rejecting rules that are set in a row's flags, in the order of the contract."""
    return [rule.code for bit, rule in enumerate(RULES) if rule.severity == "reject" and broken_rules >> bit & 1]


def warnings_of(accepted: pa.Table) -> dict[str, int]:
    """Count the accepted rows that broke each warning rule; rules that no row broke are absent."""
    flags = accepted[BROKEN_RULES].to_numpy()
    counts = {rule.code: int(np.count_nonzero(flags >> RULES.index(rule) & 1)) for rule in WARN_RULES}
    return {code: count for code, count in counts.items() if count}


def rows_per_file(table: pa.Table) -> dict[int, int]:
    """Return the number of rows by file id."""
    counts = pc.value_counts(table["file_id"])
    return dict(zip(counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True))


def minute_sums(accepted: pa.Table) -> pa.Table:
    """Sum the accepted rows for ``shop.rollup_minute``.

    Returns
    -------
    pyarrow.Table
        minute (minutes since 1970), event_type, category, currency, events, quantity, and the amount in hundredths of
        the currency. :func:`rollup_rows` adds up the tables of a batch.
    """
    quantity = pc.fill_null(accepted["quantity"], 0).cast(pa.int64())
    minute = pc.divide(accepted["event_time"].cast(pa.int64()), _MINUTE_US)
    # A price of twelve digits times a thousand fits into 64 bits, but a sum of such products may not.
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


def rollup_rows(sums: Sequence[pa.Table], *, since: datetime) -> list[tuple[object, ...]]:
    """Add up the sums of several slices.

    Parameters
    ----------
    sums:
        Results of :func:`minute_sums`.
    since:
        The first minute that the live rollups hold; earlier minutes are dropped.

    Returns
    -------
    list of tuple
        (minute, event_type, category, currency, events, quantity, amount), the amount as an exact decimal. Rows are in
        key order, so that two transactions never lock the same rows in different orders.
    """
    first = int(since.timestamp()) // 60
    live = [one.filter(pc.greater_equal(one["minute"], first)) for one in sums]
    if not live:
        return []
    keys = ("minute", "event_type", "category", "currency")
    summed = _summed(pa.concat_tables(live)).sort_by([(key, "ascending") for key in keys])
    return [
        (
            datetime.fromtimestamp(60 * row["minute"], UTC),
            *(row[name] for name in ("event_type", "category", "currency", "events", "quantity")),
            row["cents"].scaleb(-2),
        )
        for row in summed.to_pylist()
    ]


def _summed(rows: pa.Table) -> pa.Table:
    keys = ["minute", "event_type", "category", "currency"]
    numbers = ["events", "quantity", "cents"]
    summed = rows.group_by(keys).aggregate([(name, "sum") for name in numbers])
    return summed.rename_columns([*keys, *numbers])


def event_days(accepted: pa.Table) -> set[int]:
    """Return the days since 1970 of the timestamps inside the event ids."""
    days = [np.unique(id_milliseconds(chunk) // _DAY_MS) for chunk in accepted["event_id"].chunks]
    return set(np.concatenate(days).tolist()) if days else set()


def event_time_range(accepted: pa.Table) -> tuple[datetime, datetime]:
    """Return the first and last event_time; there must be at least one row."""
    ends = pc.min_max(accepted["event_time"])
    return ends["min"].as_py(), ends["max"].as_py()


def event_columns(accepted: pa.Table) -> pa.Table:
    """Return the columns that ``shop.events`` takes: those of the contract, ``extra`` and the file id."""
    return accepted.select([*COLUMN_NAMES, "extra", "file_id"])
