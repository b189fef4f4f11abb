"""Refresh materialized views in two steps, so that wrong figures can be kept from readers.

``build_candidate`` computes the new rows in a table that nobody reads. After checking them, the caller either calls
``publish_candidate``, which shows them to readers, or ``hold_candidate``, which leaves readers the previous rows.
Publishing writes the rows that differ into the published table in one transaction. No reader waits or is waited for,
however long its transaction; grants, indexes and dependent objects stay as they are.

For a view that changes by day or hour, both steps read and write only the days that changed (``include.db.changes``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg2
from psycopg2 import errors, sql

from include.db.changes import changed_since
from include.db.connect import limit_time, one_row, transaction
from include.db.facts import advance_facts
from include.db.messages import without_rows
from include.db.queries import load_queries
from include.db.restatements import record_restatements
from include.db.views import View, read_views, suggest, view_names
from include.errors import ShopstreamError

LOCK_TIMEOUT_SECONDS = 10.0

# The value is arbitrary, but all processes that build or publish must use the same one.
_ADVISORY_LOCK = 5_340_003
_SQL = load_queries("refresh")


class RefreshError(ShopstreamError):
    """A materialized view could not be refreshed; its rows are unchanged."""


@dataclass(frozen=True)
class Candidate:
    """The rows computed for a view: their number, and the seconds it took."""

    refresh_id: int
    view_name: str
    row_count: int
    seconds: float


@dataclass(frozen=True)
class Refresh:
    """The rows that are now published: their number, and the seconds it took to publish them."""

    view_name: str
    row_count: int
    seconds: float


@dataclass(frozen=True)
class StaleView:
    """A view that is out of date.

    ``age_seconds`` is the age of the published rows, None when none were ever published; ``missing_batches`` is the
    number of committed batches that they do not contain. ``held_because`` says which checks hold back newer rows, None
    when the view is out of date for another reason.
    """

    view_name: str
    age_seconds: float | None
    missing_batches: int
    held_because: str | None = None

    def __str__(self) -> str:
        age = "never refreshed" if self.age_seconds is None else f"refreshed {self.age_seconds:.0f} s ago"
        held = "" if self.held_because is None else f", held back: {self.held_because}"
        return f"{self.view_name}: {age}, {self.missing_batches} batches behind{held}"


def build_candidate(
    ops_dsn: str,
    name: str,
    *,
    timeout_seconds: float = 0,
    before_step: Callable[[], object] = lambda: None,
    advances_facts: bool = True,
) -> Candidate:
    """Compute the rows that a view would have now, and record them in ``shop.refreshes`` as not published.

    Parameters
    ----------
    ops_dsn:
        A connection as role ops.
    name:
        One of ``view_names()``.
    timeout_seconds:
        The longest that a statement may take, seconds; 0 sets no limit.
    before_step:
        As in ``advance_facts``; called at least once.
    advances_facts:
        Whether to add the events of new batches to the aggregates first. Pass False when several candidates must
        contain the same batches, and advance the aggregates once before.

    Raises
    ------
    RefreshError
        When it fails. The failure has been recorded; the driver's error is the cause.
    """
    views = {view.name: view for view in read_views()}
    view = _known(views, name)
    read = {"sources": sorted(view.sources & set(views)), "tables": sorted(view.sources)}
    try:
        if advances_facts:
            advance_facts(ops_dsn, timeout_seconds=timeout_seconds, before_step=before_step)
        else:
            before_step()
        with _exclusively(ops_dsn, name, timeout_seconds) as cursor:
            start = time.monotonic()
            cursor.execute(_SQL["before"], read)
            started_at, last_batch_id, change_id = one_row(cursor)
            row_count = _follow(cursor, view)
            if row_count is None:
                row_count = _fill(cursor, name)
            cursor.execute(
                _SQL["record_built"],
                {
                    "view_name": name,
                    "started_at": started_at,
                    "row_count": row_count,
                    "last_batch_id": last_batch_id,
                    "change_id": change_id,
                },
            )
            (refresh_id,) = one_row(cursor)
        return Candidate(refresh_id, name, row_count, time.monotonic() - start)
    except psycopg2.Error as error:
        message = without_rows(str(error))
        _record(ops_dsn, "record_not_built", view_name=name, error=message)
        raise _not_refreshed(name, message) from error


def publish_candidate(ops_dsn: str, name: str, refresh_id: int, *, timeout_seconds: float = 0) -> Refresh:
    """Publish the rows of a candidate; do nothing if they are published already.

    Raises
    ------
    RefreshError
        When it fails, which has been recorded; or when the candidate no longer holds the rows that were checked,
        because it was rebuilt or PostgreSQL crashed since.
    """
    view = _known({view.name: view for view in read_views()}, name)
    try:
        with _exclusively(ops_dsn, name, timeout_seconds) as cursor:
            start = time.monotonic()
            cursor.execute(_SQL["newest_built"], {"view_name": name})
            newest, row_count, is_published, _ = one_row(cursor)
            if newest != refresh_id:
                raise RefreshError(
                    f"the candidate of shop.{name} that was checked ({refresh_id}) has since been rebuilt ({newest})",
                    "Nothing was published; the next run of refresh_views checks and publishes the newer one",
                )
            if is_published:
                # An earlier attempt published it and died before it could report that.
                return Refresh(name, row_count, time.monotonic() - start)
            cursor.execute(_SQL["retracted_since"], {"refresh_id": refresh_id})
            if (retraction := cursor.fetchone()) is not None:
                raise RefreshError(
                    f"the candidate of shop.{name} has events that were since retracted, by retraction {retraction[0]}",
                    "Nothing was published; the next run of refresh_views rebuilds it",
                )
            if row_count and not _has_candidate(cursor, name):
                # The candidate table is unlogged, so a crash between the two steps has emptied it.
                raise RefreshError(
                    f"the candidate of shop.{name} no longer has the {row_count:,} rows that were checked",
                    "Nothing was published; the next run of refresh_views rebuilds it",
                )
            cursor.execute(_SQL["newest_published"], {"view_name": name})
            published = cursor.fetchone()
            is_changed = changed_since(view, published[0] if published else None)
            record_restatements(cursor, name, refresh_id, is_changed)
            _publish(cursor, name, is_changed)
            cursor.execute(_SQL["record_published"], {"refresh_id": refresh_id})
        return Refresh(name, row_count, time.monotonic() - start)
    except psycopg2.Error as error:
        message = without_rows(str(error))
        _record(ops_dsn, "record_failed", refresh_id=refresh_id, error=message)
        raise _not_refreshed(name, message) from error


def hold_candidate(ops_dsn: str, refresh_id: int, because: str, failures: Sequence[str] = ()) -> None:
    """Record why a candidate is not published: in words, and as failures of the form ``suite/check``."""
    _record(ops_dsn, "record_held", refresh_id=refresh_id, held_because=because, held_by=list(failures))


def override_candidate(ops_dsn: str, refresh_id: int, override_id: int, overrode: str) -> None:
    """Record which override lets a candidate through, and the failed checks that it overrides."""
    _record(ops_dsn, "record_override", refresh_id=refresh_id, override_id=override_id, overrode=overrode)


def refresh_view(ops_dsn: str, name: str, *, timeout_seconds: float = 0) -> Refresh:
    """Bring the aggregates up to date, then build and publish a view without checking its rows in between."""
    built = build_candidate(ops_dsn, name, timeout_seconds=timeout_seconds)
    return publish_candidate(ops_dsn, name, built.refresh_id, timeout_seconds=timeout_seconds)


def stale_views(dsn: str, *, max_age_seconds: float) -> list[StaleView]:
    """Return the views whose published rows are older than ``max_age_seconds``, or lack a batch that old.

    While the stream runs, every view lacks the batches of the last seconds; that alone does not make it stale.
    """
    with transaction(dsn) as cursor:
        cursor.execute(_SQL["stale"], {"names": list(view_names()), "max_age_seconds": max_age_seconds})
        return [StaleView(*row) for row in cursor]


@contextmanager
def _exclusively(ops_dsn: str, name: str, timeout_seconds: float) -> Iterator[Any]:
    """Yield the cursor of a transaction in which nobody else builds or publishes the view."""
    with transaction(ops_dsn) as cursor:
        limit_time(cursor, timeout_seconds)
        cursor.execute(_SQL["lock"], {"key": _ADVISORY_LOCK, "view_name": name})
        cursor.execute(_SQL["limit_lock_wait"], {"milliseconds": str(round(LOCK_TIMEOUT_SECONDS * 1000))})
        yield cursor


def _known(views: Mapping[str, View], name: str) -> View:
    if name not in views:
        raise RefreshError(f"there is no view {name!r}", suggest(name, views))
    return views[name]


def _relations(name: str) -> dict[str, sql.Composable]:
    return {
        "published": sql.Identifier("shop", name),
        "candidate": sql.Identifier("shop_next", name),
        "query": sql.Identifier("shop_next", f"{name}_query"),
    }


def _has_candidate(cursor: Any, name: str) -> bool:
    cursor.execute(sql.SQL(_SQL["has_candidate"]).format(**_relations(name)))
    return bool(one_row(cursor)[0])


def _follow(cursor: Any, view: View) -> int | None:
    """Recompute the days that changed since the candidate was built.

    Returns
    -------
    int or None
        The number of rows of the candidate; None when it must be built as a whole, because the view does not change by
        day or it is unknown which changes the candidate contains.
    """
    cursor.execute(_SQL["newest_built"], {"view_name": view.name})
    newest = cursor.fetchone()
    if view.changes_by is None or newest is None:
        return None
    _, row_count, _, change_id = newest
    if change_id is None or (row_count and not _has_candidate(cursor, view.name)):
        return None
    is_changed = changed_since(view, change_id)
    cursor.execute(sql.SQL(_SQL["follow_candidate"]).format(**_relations(view.name), is_changed=is_changed))
    return int(row_count + one_row(cursor)[0])


def _fill(cursor: Any, name: str) -> int:
    """Fill the candidate with the current rows of the view; return their number."""

    def execute(statement: str) -> None:
        cursor.execute(sql.SQL(_SQL[statement]).format(**_relations(name)))

    execute("before_lock")
    try:
        execute("try_lock_candidate")
        execute("truncate_candidate")
    except errors.LockNotAvailable:
        execute("undo_lock")
        execute("delete_candidate")
    execute("fill_candidate")
    row_count: int = cursor.rowcount
    execute("analyze_candidate")
    return row_count


def _publish(cursor: Any, name: str, is_changed: sql.Composable) -> None:
    """Write the candidate's rows that differ into the published table, and delete those that it lacks."""
    cursor.execute(_SQL["columns"], {"view": f"shop.{name}"})
    grain, columns = one_row(cursor)
    if grain is None:
        raise RefreshError(f"shop.{name} has no unique index, so its rows cannot be compared", "Add one to its file")

    def each(template: str, names: Iterable[str], separator: str = ", ") -> sql.Composed:
        return sql.SQL(separator).join(sql.SQL(template).format(sql.Identifier(one)) for one in names)

    parts = {
        **_relations(name),
        "is_changed": is_changed,
        "is_same": each("published.{0} = candidate.{0}", grain, " AND "),
        "columns": each("{0}", columns),
        "values": each("candidate.{0}", columns),
        "assignments": each("{0} = candidate.{0}", columns),
    }
    for statement in ("publish_gone", "publish_rows"):
        cursor.execute(sql.SQL(_SQL[statement]).format(**parts))


def _record(ops_dsn: str, statement: str, **values: Any) -> None:
    with transaction(ops_dsn) as cursor:
        cursor.execute(_SQL[statement], values)


def _not_refreshed(name: str, message: str) -> RefreshError:
    return RefreshError(
        f"shop.{name} could not be refreshed: {message}",
        "Its rows are unchanged. `make up` creates a view that is missing; after a timeout, allow more time",
    )
