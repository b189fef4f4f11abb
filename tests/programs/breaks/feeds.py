"""Create the events of a broken feed, as the generator would except for the fault."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal

from include.contract import COLUMN_NAMES
from include.generator.files import generate_files
from include.generator.options import GeneratorOptions

Row = dict[str, str]

MISSING_CATEGORY = "Electronics"
# More than the newest events that the checks examine.
ROWS = 3000
_SEED = 1
_ROWS_PER_FILE = 100_000
_LATE = timedelta(hours=6)
# Around the hour of volume_is_usual.
_BEFORE, _SPAN = timedelta(minutes=32), timedelta(hours=1)
# Older than a day, because events of yesterday that come now are late, which is another fault.
_VOLUME_DAYS = (2, 3)
_VOLUME_FACTOR = 2.5


def ordinary(start: datetime, rows: int, span: timedelta) -> Iterator[Row]:
    """Return good events by column, of customers and products of the regular feed."""
    seconds = span.total_seconds()
    options = GeneratorOptions(
        seed=_SEED,
        start=start,
        events_per_second=rows / seconds,
        duration_seconds=seconds,
        rows_per_file=min(rows, _ROWS_PER_FILE),
        bad_share=0,
        duplicate_share=0,
        late_share=0,
        is_paced=False,
    )
    for file in generate_files(options):
        text = b"".join(bytes(part) for part in file.content).decode("utf-8")
        yield from csv.DictReader(io.StringIO(text))


def broken(kind: str, now: datetime, per_minute: float) -> Iterator[Row]:
    """The events that a broken feed delivers.

    Parameters
    ----------
    kind:
        One of KINDS but ``stale-view`` and ``renamed-suite``, which are not a matter of the feed.
    now:
        The moment at which they are delivered.
    per_minute:
        Events a minute of the regular feed.
    """
    return _FEEDS[kind](now, per_minute)


def _late(now: datetime, per_minute: float) -> Iterator[Row]:
    return ordinary(now - _LATE, ROWS, timedelta(minutes=1))


def _doubled(now: datetime, per_minute: float) -> Iterator[Row]:
    for row in ordinary(now - timedelta(minutes=1), ROWS, timedelta(minutes=1)):
        yield {**row, "unit_price": str(2 * Decimal(row["unit_price"]))}


def _incomplete(now: datetime, per_minute: float) -> Iterator[Row]:
    for row in ordinary(now - timedelta(minutes=1), 2 * ROWS, timedelta(minutes=1)):
        if row["category"] != MISSING_CATEGORY:
            yield row


def _more_before(now: datetime, per_minute: float) -> Iterator[Row]:
    rows = max(ROWS, round(_VOLUME_FACTOR * per_minute * _SPAN.total_seconds() / 60))
    for days in _VOLUME_DAYS:
        yield from ordinary(now - timedelta(days=days) - _BEFORE, rows, _SPAN)


_FEEDS: dict[str, Callable[[datetime, float], Iterator[Row]]] = {
    "late-feed": _late,
    "doubled-price": _doubled,
    "missing-category": _incomplete,
    "volume-drop": _more_before,
    "mid-refresh": _doubled,
    "quiet-night": _doubled,
    "mended-drift": _doubled,
    "retracted-file": _doubled,
}


def as_csv(rows: list[Row]) -> str:
    """Return a file of the contract."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMN_NAMES, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
