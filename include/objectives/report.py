"""Read the attainment of the objectives by month, their newest values and their misses, and acknowledge misses."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from include.db import load_queries, transaction
from include.errors import ShopstreamError
from include.objectives.catalog import Objective

_SQL = load_queries("objective_report")


class ObjectiveError(ShopstreamError):
    """The requested objective or miss does not exist."""


@dataclass(frozen=True)
class Attainment:
    """The attainment of an objective in a UTC month: the number of evaluated minutes, and of those that met it."""

    objective: str
    month: date
    minutes: int
    met: int

    @property
    def share(self) -> float:
        """Share of the evaluated minutes that met the objective."""
        return self.met / self.minutes


@dataclass(frozen=True)
class Current:
    """The newest evaluated minute of an objective; all fields are None before the first one.

    ``miss_id`` and ``missed_since`` belong to the open miss.
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
    """An evaluated minute of an objective: its beginning, its value, the bound in force at that time, the verdict."""

    minute: datetime
    value: float | None
    bound: float
    is_met: bool


def attainment(dsn: str, *, months: int = 1) -> list[Attainment]:
    """Return the attainment of each objective in this month and those before it, the newest month first."""
    return [Attainment(*row) for row in _rows(dsn, "attainment", months=months)]


def current(dsn: str, objectives: tuple[Objective, ...]) -> list[Current]:
    """Return the newest value of each objective, in the given order."""
    return [Current(*row) for row in _rows(dsn, "current", objectives=[one.name for one in objectives])]


def minutes(dsn: str, objective: str, *, since: datetime) -> list[RecordedMinute]:
    """Return the evaluated minutes of an objective since a given time, the oldest first."""
    return [RecordedMinute(*row) for row in _rows(dsn, "minutes", objective=objective, since=since)]


def misses(
    dsn: str,
    *,
    objective: str | None = None,
    is_open: bool | None = None,
    after: RecordedMiss | None = None,
    limit: int = 50,
) -> list[RecordedMiss]:
    """Return misses, the newest first.

    Parameters
    ----------
    dsn:
        A connection with read access to ``shop``.
    objective, is_open:
        Return only the misses of one objective; only open ones, or only those that are over.
    after:
        The last miss of the previous page.
    limit:
        Maximum number of misses per page.
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
    """Return one miss.

    Raises
    ------
    ObjectiveError
        When no miss has this id.
    """
    return _miss(_rows(dsn, "miss", miss_id=miss_id), miss_id)


def acknowledge_miss(dsn: str, miss_id: int, by: str, note: str | None = None) -> RecordedMiss:
    """Record which user has looked at a miss, with an optional note (role ops); return the miss.

    Raises
    ------
    ObjectiveError
        When no miss has this id.
    """
    return _miss(_rows(dsn, "acknowledge", miss_id=miss_id, by=by, note=note), miss_id)


def _miss(rows: list[Any], miss_id: int) -> RecordedMiss:
    if not rows:
        raise ObjectiveError(f"there is no miss {miss_id}", "See shop.objective_misses for the recorded misses")
    return RecordedMiss(*rows[0])


def _rows(dsn: str, query: str, **parameters: Any) -> list[Any]:
    with transaction(dsn) as cursor:
        cursor.execute(_SQL[query], parameters)
        return list(cursor.fetchall())
