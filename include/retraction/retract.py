"""Retract deliveries in one transaction: all their data is removed, or nothing if it fails or is killed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg2 import sql

from include.contract import COLUMN_NAMES
from include.db import limit_time, load_queries, one_row, transaction
from include.retraction.facts import take_from_facts
from include.retraction.selection import Delivery, RetractionError, Selection, find_deliveries

_SQL = load_queries("retraction")
_SINK = load_queries("sink")


@dataclass(frozen=True)
class Brought:
    """The data that the deliveries brought: events by type, and how many of them other deliveries brought too."""

    deliveries: tuple[Delivery, ...]
    events: dict[str, int]
    reassigned: int

    @property
    def file_ids(self) -> list[int]:
        """The numbers of the files."""
        return [one.file_id for one in self.deliveries]

    def total(self, column: str) -> int:
        """Return the sum of a column of the balances."""
        return sum(getattr(one, column) for one in self.deliveries)


@dataclass(frozen=True)
class Retraction:
    """A completed retraction, as recorded in ``shop.retractions``."""

    retraction_id: int
    done_at: datetime
    brought: Brought


def retract(owner_dsn: str, selection: Selection, *, by: str, reason: str, timeout_seconds: float = 0) -> Retraction:
    """Retract deliveries: remove their events, rejects and duplicates, and their share of aggregates and ledger.

    An event that another delivery brought too stays, as an event of the first such delivery, with the content of that
    delivery. The views follow with their next refresh. The next batch of the stream waits while rows are removed.

    Parameters
    ----------
    owner_dsn:
        A connection as role owner.
    selection:
        The deliveries.
    by, reason:
        Who retracts them, and why. Both are recorded.
    timeout_seconds:
        Statement timeout, seconds; 0 sets no limit.

    Raises
    ------
    RetractionError
        When no delivery matches, one is still being loaded, or retention has removed events of one.
    """
    if not reason.strip():
        raise RetractionError("a retraction needs a reason", "Say in a few words why the delivery is retracted")
    with transaction(owner_dsn) as cursor:
        limit_time(cursor, timeout_seconds)
        progress = begin(cursor)
        brought = gather(cursor, selection)
        take_from_facts(cursor, brought.file_ids, progress)
        # The stream was running until here and may have added duplicates of retracted events, so find the successors
        # only after taking the lock.
        cursor.execute(_SQL["lock_writer"])
        brought = with_successors(cursor, brought)
        record = {
            "by": by,
            "reason": reason.strip(),
            "selection": json.dumps(selection.given),
            "files": len(brought.deliveries),
            "events": brought.total("accepted"),
            "reassigned": brought.reassigned,
            "rejects": brought.total("rejected"),
            "duplicates": brought.total("duplicate"),
        }
        cursor.execute(_SQL["record"], record)
        retraction_id, done_at = one_row(cursor)
        remove(cursor, brought, retraction_id)
    return Retraction(retraction_id, done_at, brought)


def begin(cursor: Any) -> int:
    """Take the locks that a retraction needs from the start, and return the newest batch in the aggregates."""
    cursor.execute(_SQL["lock_facts"])
    (progress,) = one_row(cursor)
    cursor.execute(_SQL["lock_events"])
    return int(progress)


def gather(cursor: Any, selection: Selection) -> Brought:
    """Copy the events of the deliveries to the temporary table ``retracted``.

    Raises
    ------
    RetractionError
        When no delivery matches, one is still being loaded, or retention has removed events of one.
    """
    deliveries = find_deliveries(cursor, selection)
    file_ids = {"file_ids": [one.file_id for one in deliveries]}
    for statement in ("slices", "retracted", "analyze_retracted"):
        cursor.execute(_SQL[statement], file_ids)
    cursor.execute(_SQL["event_types"])
    events = dict(cursor.fetchall())
    brought = Brought(tuple(deliveries), events, 0)
    accepted, stored = brought.total("accepted"), sum(events.values())
    if stored != accepted:
        raise RetractionError(
            f"of {accepted:,} events that {selection} brought, {accepted - stored:,} are past retention, "
            "so an exact retraction is impossible",
            "Nothing was changed. Select only deliveries whose events are all still in shop.events",
        )
    return brought


def with_successors(cursor: Any, brought: Brought) -> Brought:
    """Store the events that other deliveries brought too in the temporary table ``successors``, and count them."""
    cursor.execute(_SQL["successors"], {"file_ids": brought.file_ids})
    cursor.execute(_SQL["count_successors"])
    (reassigned,) = one_row(cursor)
    return Brought(brought.deliveries, brought.events, reassigned)


def reassign(cursor: Any, batch_id: int) -> None:
    """Store the events that stay, with the content of another delivery, in the temporary table ``reassigned``."""
    cursor.execute(_SQL["reassigned"], {"batch_id": batch_id})


def exchange_events(cursor: Any) -> None:
    """Delete the events of the deliveries, and insert those that another delivery brought too."""
    cursor.execute(_SQL["delete_events"])
    columns = sql.SQL(", ").join(map(sql.Identifier, COLUMN_NAMES))
    cursor.execute(sql.SQL(_SQL["insert_reassigned"]).format(columns=columns))


def remove(cursor: Any, brought: Brought, retraction_id: int) -> None:
    """Remove the data of the deliveries from events, rejects, conflicts, rollups and the ledger."""
    file_ids = {"file_ids": brought.file_ids}
    batch_id = _open_batch(cursor, retraction_id) if brought.reassigned else 0
    reassign(cursor, batch_id)
    exchange_events(cursor)
    cursor.execute(_SQL["contents"], file_ids)
    cursor.execute(_SQL["delete_conflicts"], file_ids)
    cursor.execute(_SQL["insert_conflicts"], {"columns": list(COLUMN_NAMES)})
    for statement in ("update_duplicates", "delete_duplicates", "delete_rejects"):
        cursor.execute(_SQL[statement], file_ids)
    # Lock out retirement, which must not remove a day while its minutes change.
    cursor.execute(_SINK["rollup_horizon"])
    cursor.execute(_SQL["roll_down"], {"batch_id": batch_id})
    cursor.execute(_SQL["record_files"], {**file_ids, "retraction_id": retraction_id})
    for statement in ("reduce_batches", "delete_slices", "retract_files"):
        cursor.execute(_SQL[statement], file_ids)
    if brought.reassigned:
        _store_as_slices(cursor, batch_id)


def _open_batch(cursor: Any, retraction_id: int) -> int:
    cursor.execute(_SQL["open_batch"], {"retraction_id": retraction_id})
    (batch_id,) = one_row(cursor)
    return int(batch_id)


def _store_as_slices(cursor: Any, batch_id: int) -> None:
    """Move the rows of the successors in the ledger, from duplicate in their batch to accepted in the new batch."""
    statements: Sequence[str] = (
        "first_slices",
        "reduce_parts",
        "reduce_batches_of_successors",
        "new_slices",
        "advance_successors",
        "close_batch",
    )
    for statement in statements:
        cursor.execute(_SQL[statement], {"batch_id": batch_id})
