"""Materialized views brought up to date in two steps, so that what is wrong can be kept from whoever reads them.

``build_candidate`` works the rows out aside, where nobody reads them. Whoever has looked at them calls
``publish_candidate``, which makes them what people read, or ``hold_candidate``, which leaves people with the rows of
before. To publish is to refresh a view that is a plain copy of the candidate, concurrently: no reader waits or is
waited for, however long his transaction; grants, indexes and what others have built on the view stay as they are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg2
from psycopg2 import errors, sql

from include.db.connect import limit_time, one_row, transaction
from include.db.facts import advance_facts
from include.db.queries import load_queries
from include.db.views import read_views, suggest, view_names
from include.errors import ShopstreamError

LOCK_TIMEOUT_SECONDS = 10.0

# Any constant serves: whoever builds or publishes must only agree on it.
_ADVISORY_LOCK = 5_340_003
_SQL = load_queries("refresh")


class RefreshError(ShopstreamError):
    """A materialized view could not be refreshed; its rows are as they were."""


@dataclass(frozen=True)
class Candidate:
    """Rows that were worked out for a view: their number, and the seconds that it took."""

    refresh_id: int
    view_name: str
    row_count: int
    seconds: float


@dataclass(frozen=True)
class Refresh:
    """Rows that people read now: their number, and the seconds that it took to publish them."""

    view_name: str
    row_count: int
    seconds: float


@dataclass(frozen=True)
class StaleView:
    """A view that is out of date.

    ``age_seconds`` is the age of the rows that people read, None when none were ever published; ``missing_batches`` is
    the number of committed batches that they do not contain.
    """

    view_name: str
    age_seconds: float | None
    missing_batches: int

    def __str__(self) -> str:
        age = "never refreshed" if self.age_seconds is None else f"refreshed {self.age_seconds:.0f} s ago"
        return f"{self.view_name}: {age}, {self.missing_batches} batches behind"


def build_candidate(
    ops_dsn: str, name: str, *, timeout_seconds: float = 0, before_step: Callable[[], object] = lambda: None
) -> Candidate:
    """Work out the rows that a view would have now, and record them in ``shop.refreshes`` as not published.

    Parameters
    ----------
    ops_dsn:
        A connection as role ops.
    name:
        One of ``view_names()``.
    timeout_seconds:
        The longest that a statement may take, seconds; 0 sets no limit.
    before_step:
        As that of ``advance_facts``: is called at least once.

    Raises
    ------
    RefreshError
        When it fails; the failure has been recorded, the driver's error is the cause.
    """
    views = {view.name: view for view in read_views()}
    if name not in views:
        raise RefreshError(f"there is no view {name!r}", suggest(name, views))
    sources = sorted(views[name].sources & set(views))
    try:
        with transaction(ops_dsn) as cursor:
            cursor.execute(_SQL["before"], {"sources": sources})
            started_at, last_batch_id = one_row(cursor)
        advance_facts(ops_dsn, timeout_seconds=timeout_seconds, before_step=before_step)
        with _exclusively(ops_dsn, name, timeout_seconds) as cursor:
            start = time.monotonic()
            row_count = _fill(cursor, name)
            cursor.execute(
                _SQL["record_built"],
                {"view_name": name, "started_at": started_at, "row_count": row_count, "last_batch_id": last_batch_id},
            )
            (refresh_id,) = one_row(cursor)
        return Candidate(refresh_id, name, row_count, time.monotonic() - start)
    except psycopg2.Error as error:
        message = str(error).strip()
        _record(ops_dsn, "record_not_built", view_name=name, error=message, held_because=None)
        raise _not_refreshed(name, message) from error


def publish_candidate(ops_dsn: str, name: str, refresh_id: int, *, timeout_seconds: float = 0) -> Refresh:
    """Make the rows of a candidate those that people read.

    Raises
    ------
    RefreshError
        When it fails, which has been recorded; or when the candidate does not hold the rows any more that were looked
        at, because it was built anew or PostgreSQL has crashed since.
    """
    try:
        with _exclusively(ops_dsn, name, timeout_seconds) as cursor:
            start = time.monotonic()
            cursor.execute(_SQL["newest_built"], {"view_name": name})
            newest, row_count = one_row(cursor)
            if newest != refresh_id:
                raise RefreshError(
                    f"the candidate of shop.{name} that was checked ({refresh_id}) was since built anew ({newest})",
                    "Nothing was published; the next run of refresh_views checks and publishes the newer one",
                )
            cursor.execute(_SQL["is_populated"], {"view": f"shop.{name}"})
            (is_populated,) = one_row(cursor)
            published, candidate = sql.Identifier("shop", name), sql.Identifier("shop_next", name)
            cursor.execute(sql.SQL(_SQL["count_candidate"]).format(candidate=candidate))
            if one_row(cursor) != (row_count,):
                # It is not logged: what crashed between the two steps has emptied it.
                raise RefreshError(
                    f"the candidate of shop.{name} no longer has the {row_count:,} rows that were checked",
                    "Nothing was published; the next run of refresh_views builds it anew",
                )
            cursor.execute(sql.SQL(_SQL["publish" if is_populated else "publish_first"]).format(published=published))
            cursor.execute(_SQL["record_published"], {"refresh_id": refresh_id})
        return Refresh(name, row_count, time.monotonic() - start)
    except psycopg2.Error as error:
        message = str(error).strip()
        _record(ops_dsn, "record_failed", refresh_id=refresh_id, error=message)
        raise _not_refreshed(name, message) from error


def hold_candidate(ops_dsn: str, refresh_id: int, because: str) -> None:
    """Put on record why a candidate is not published."""
    _record(ops_dsn, "record_held", refresh_id=refresh_id, held_because=because)


def hold_view(ops_dsn: str, name: str, because: str) -> None:
    """Put on record why no candidate was even built."""
    _record(ops_dsn, "record_not_built", view_name=name, error=None, held_because=because)


def refresh_view(ops_dsn: str, name: str, *, timeout_seconds: float = 0) -> Refresh:
    """Build and publish a view without looking at its rows in between; as the two steps do otherwise."""
    built = build_candidate(ops_dsn, name, timeout_seconds=timeout_seconds)
    return publish_candidate(ops_dsn, name, built.refresh_id, timeout_seconds=timeout_seconds)


def stale_views(dsn: str, *, max_age_seconds: float) -> list[StaleView]:
    """The views whose published rows are older than ``max_age_seconds``, or lack a batch committed that long ago.

    Under a running stream every view lacks the batches of the last seconds; that alone does not make it stale.
    """
    with transaction(dsn) as cursor:
        cursor.execute(_SQL["stale"], {"names": list(view_names()), "max_age_seconds": max_age_seconds})
        return [StaleView(*row) for row in cursor]


@contextmanager
def _exclusively(ops_dsn: str, name: str, timeout_seconds: float) -> Iterator[Any]:
    """A transaction in which nobody else builds or publishes the view."""
    with transaction(ops_dsn) as cursor:
        limit_time(cursor, timeout_seconds)
        cursor.execute(_SQL["lock"], {"key": _ADVISORY_LOCK, "view_name": name})
        cursor.execute(_SQL["limit_lock_wait"], {"milliseconds": str(round(LOCK_TIMEOUT_SECONDS * 1000))})
        yield cursor


def _fill(cursor: Any, name: str) -> int:
    """Put the view's rows of now into its candidate; returns their number."""
    relations = {
        "candidate": sql.Identifier("shop_next", name),
        "query": sql.Identifier("shop_next", f"{name}_query"),
    }

    def execute(statement: str) -> None:
        cursor.execute(sql.SQL(_SQL[statement]).format(**relations))

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


def _record(ops_dsn: str, statement: str, **values: Any) -> None:
    with transaction(ops_dsn) as cursor:
        cursor.execute(_SQL[statement], values)


def _not_refreshed(name: str, message: str) -> RefreshError:
    return RefreshError(
        f"shop.{name} could not be refreshed: {message}",
        "Its rows are as they were. `make up` makes a view that is missing; after a timeout, allow more time",
    )
