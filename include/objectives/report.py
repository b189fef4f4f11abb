"""Reads how well the objectives are kept: attainment by month, newest values, misses; and acknowledges these."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from include.db import load_queries, transaction
from include.errors import ShopstreamError
from include.objectives.catalog import Objective

_SQL = load_queries("objective_report")


class ObjectiveError(ShopstreamError):
    """An objective or a miss that does not exist was asked for."""


@dataclass(frozen=True)
class Attainment:
    """How well an objective was kept in a UTC month: the minutes that were judged, and those that met it."""

    objective: str
    month: date
    minutes: int
    met: int

    @property
    def share(self) -> float:
        """Of the judged minutes, those that met it."""
        return self.met / self.minutes


@dataclass(frozen=True)
class Current:
    """The newest judged minute of an objective; all None before the first one. ``miss_id`` and ``missed_since`` are
    those of the miss that is open.
    """

    objective: str
    minute: datetime | None
    value: float | None
    bound: float | None
    is_met: bool | None
    miss_id: int | None
    missed_since: datetime | None


@dataclass(frozen=True)
class RecordedMiss:
    """A row of ``shop.objective_misses``; ``ended_at`` is None while it lasts."""

    miss_id: int
    objective: str
    began_at: datetime
    ended_at: datetime | None
    bound: float
    worst_value: float | None
    cause: str | None
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    note: str | None


@dataclass(frozen=True)
class RecordedMinute:
    """A judged minute of an objective: when it began, what was measured, the bound of then, the verdict."""

    minute: datetime
    value: float | None
    bound: float
    is_met: bool


def attainment(dsn: str, *, months: int = 1) -> list[Attainment]:
    """How well each objective was kept in this month and those before it, the newest month first."""
    return [Attainment(*row) for row in _rows(dsn, "attainment", months=months)]


def current(dsn: str, objectives: tuple[Objective, ...]) -> list[Current]:
    """The newest value of each of the objectives, in their order."""
    return [Current(*row) for row in _rows(dsn, "current", objectives=[one.name for one in objectives])]


def minutes(dsn: str, objective: str, *, since: datetime) -> list[RecordedMinute]:
    """The judged minutes of an objective from a moment on, the oldest first."""
    return [RecordedMinute(*row) for row in _rows(dsn, "minutes", objective=objective, since=since)]


def misses(
    dsn: str,
    *,
    objective: str | None = None,
    is_open: bool | None = None,
    after: RecordedMiss | None = None,
    limit: int = 50,
) -> list[RecordedMiss]:
    """Misses, the newest first.

    Parameters
    ----------
    dsn:
        A connection with read access to ``shop``.
    objective, is_open:
        Only those of one objective; only those that last, or that are over.
    after:
        The last miss of the page before.
    limit:
        Most misses of a page.
    """
    return [
        RecordedMiss(*row)
        for row in _rows(
            dsn,
            "misses",
            objective=objective,
            is_open=is_open,
            before=after.began_at if after else None,
            before_id=after.miss_id if after else None,
            limit=limit,
        )
    ]


def find_miss(dsn: str, miss_id: int) -> RecordedMiss:
    """One miss.

    Raises
    ------
    ObjectiveError
        When there is none of that id.
    """
    return _miss(_rows(dsn, "miss", miss_id=miss_id), miss_id)


def acknowledge_miss(dsn: str, miss_id: int, by: str, note: str | None = None) -> RecordedMiss:
    """Write down who has looked at a miss, and what that person says of it (role ops); returns the miss.

    Raises
    ------
    ObjectiveError
        When there is none of that id.
    """
    return _miss(_rows(dsn, "acknowledge", miss_id=miss_id, by=by, note=note), miss_id)


def _miss(rows: list[Any], miss_id: int) -> RecordedMiss:
    if not rows:
        raise ObjectiveError(f"there is no miss {miss_id}", "See shop.objective_misses for those that are on record")
    return RecordedMiss(*rows[0])


def _rows(dsn: str, query: str, **parameters: Any) -> list[Any]:
    with transaction(dsn) as cursor:
        cursor.execute(_SQL[query], parameters)
        return list(cursor.fetchall())
