"""Store events in a database without a stream, with all that the batch transaction writes, from dictionaries."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg2.extras import execute_values

from include.contract import COLUMN_NAMES
from include.db import transaction

_numbers = itertools.count(1)

_ROLLUP = """
INSERT INTO shop.rollup_minute AS rollup (minute, event_type, category, currency, events, quantity, amount, batch_id)
SELECT date_trunc('minute', event_time), event_type, category, currency,
       count(*), coalesce(sum(quantity), 0), coalesce(sum(unit_price * quantity), 0), batch_id
FROM shop.events
WHERE batch_id = %s AND event_time >= (SELECT day FROM shop.rollup_horizon)
GROUP BY date_trunc('minute', event_time), event_type, category, currency, batch_id
ON CONFLICT (minute, event_type, category, currency) DO UPDATE
SET events = rollup.events + excluded.events, quantity = rollup.quantity + excluded.quantity,
    amount = rollup.amount + excluded.amount, batch_id = excluded.batch_id
"""


def uuid7(instant: datetime) -> str:
    """Return a UUIDv7 of the instant, different at each call."""
    digits = f"{round(instant.timestamp() * 1000):012x}7000{0x8000_0000_0000_0000 | next(_numbers):016x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def make_event(**values: Any) -> dict[str, Any]:
    """Return a valid event, by default a purchase of now; its id contains its time."""
    event = {
        "event_type": "purchase",
        "event_time": datetime.now(UTC),
        "user_id": "U1",
        "customer_segment": "regular",
        "session_id": "S1",
        "order_id": None,
        "product_id": "P1",
        "product_name": "Trail Running Shoes",
        "category": "Sports",
        "brand": "Northfell",
        "unit_price": "10.00",
        "quantity": None,
        "currency": "EUR",
        "payment_method": None,
        "channel": "web",
        "device": "mobile",
        "country": "DE",
        "city": "Leipzig",
        **values,
    }
    if event["event_type"] in ("add_to_cart", "order", "purchase"):
        event["quantity"] = values.get("quantity", 1)
    if event["event_type"] in ("order", "purchase"):
        event["order_id"] = values.get("order_id", "O1")
    if event["event_type"] == "purchase":
        event["payment_method"] = values.get("payment_method", "card")
    event.setdefault("event_id", uuid7(event["event_time"]))
    return event


def load_batch(
    owner_dsn: str,
    events: Sequence[Mapping[str, Any]],
    *,
    rejects: Iterable[Mapping[str, Any]] = (),
    ingested_at: datetime | None = None,
    name: str | None = None,
) -> int:
    """Store one file of events and rejects as one committed batch, with ledger, rollups and partitions.

    Parameters
    ----------
    owner_dsn:
        A connection as role owner.
    events:
        Made by ``make_event``.
    rejects:
        Each with ``raw`` and ``reasons``.
    ingested_at:
        When it was loaded; default now.
    name:
        Of the file; default a new one.

    Returns
    -------
    int
        The id of the batch.
    """
    ingested_at = ingested_at or datetime.now(UTC)
    rejects = list(rejects)
    number = next(_numbers)
    name = name or f"events-{number}.csv"
    counts = {"read": len(events) + len(rejects), "accepted": len(events), "rejected": len(rejects)}
    with transaction(owner_dsn) as cursor:
        cursor.execute(
            "INSERT INTO shop.batches (query, epoch, spark_batch_id, files, read, accepted, duplicate,"
            " rejected, max_event_time, started_at, committed_at) VALUES ('events', 1, %(number)s, 1, %(read)s,"
            " %(accepted)s, 0, %(rejected)s, %(newest)s, %(at)s, %(at)s) RETURNING batch_id",
            {
                **counts,
                "number": number,
                "newest": max((event["event_time"] for event in events), default=None),
                "at": ingested_at,
            },
        )
        batch_id = cursor.fetchone()[0]
        cursor.execute(
            "INSERT INTO shop.files (name, state, size_bytes, arrived_at, finished_at, batch_id, read, accepted,"
            " rejected) VALUES (%(name)s, 'loaded', 0, %(at)s, %(at)s, %(batch_id)s, %(read)s, %(accepted)s,"
            " %(rejected)s) RETURNING file_id",
            {**counts, "name": name, "at": ingested_at, "batch_id": batch_id},
        )
        file_id = cursor.fetchone()[0]
        days = {event["event_time"].astimezone(UTC).date() for event in events}
        cursor.execute("SELECT shop.ensure_event_partitions(%s::date[])", (sorted(days),))
        execute_values(
            cursor,
            f"INSERT INTO shop.events ({', '.join(COLUMN_NAMES)}, batch_id, file_id, ingested_at) VALUES %s",
            [(*(event[name] for name in COLUMN_NAMES), batch_id, file_id, ingested_at) for event in events],
        )
        execute_values(
            cursor,
            "INSERT INTO shop.rejects (batch_id, file_id, file_name, line, raw, reasons, rejected_at) VALUES %s",
            [
                (batch_id, file_id, name, line, row["raw"], row["reasons"], ingested_at)
                for line, row in enumerate(rejects, start=2)
            ],
        )
        cursor.execute(_ROLLUP, (batch_id,))
    return batch_id


def at(text: str) -> datetime:
    """Return a time in UTC: ``at("2026-11-20 09:30")``."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def days_ago(days: float) -> datetime:
    """Return the time that many days ago."""
    return datetime.now(UTC) - timedelta(days=days)
