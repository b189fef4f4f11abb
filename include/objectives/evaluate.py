"""Judges the objectives: once a minute, from what the database knows. A miss is data, not a failure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from include.db import load_queries, transaction
from include.objectives.catalog import Objective, objectives_of
from include.objectives.causes import find_cause
from include.objectives.measure import measure, minutes_to_judge
from include.objectives.misses import JudgedMinute, Miss, follow
from include.settings import Settings
from include.stream.status import stream_status
from include.stream.watch import Finding, Limits, judge

# Any constant serves: two evaluations must only agree on it.
_ADVISORY_LOCK = 5_340_013
_SQL = load_queries("objectives")


@dataclass(frozen=True)
class Evaluation:
    """What one evaluation found: the minutes that it judged by objective, and the misses that are open now."""

    judged: dict[Objective, list[JudgedMinute]]
    open_misses: dict[Objective, Miss]

    @property
    def minutes(self) -> int:
        """How many minutes were judged, for the objective that was judged in most of them."""
        return max((len(minutes) for minutes in self.judged.values()), default=0)


def evaluate(dsn: str, settings: Settings, *, now: datetime | None = None) -> Evaluation:
    """Judge the minutes that have ended since the last time, and record them with the misses that they make.

    Parameters
    ----------
    dsn:
        A connection as role ops.
    settings:
        Of the installation: they have the bound of the backlog and the limits of the stream.
    now:
        The moment to judge from; default the database's clock.
    """
    # Before the transaction: it needs a connection of its own.
    findings = judge(stream_status(dsn), Limits.of(settings))
    with transaction(dsn) as cursor:
        cursor.execute(_SQL["lock"], {"key": _ADVISORY_LOCK})
        minutes = minutes_to_judge(cursor, now)
        objectives = objectives_of(settings)
        judged = measure(cursor, objectives, minutes) if minutes else {}
        _record(cursor, judged)
        cursor.execute(_SQL["end_misses_of_others"], {"objectives": [one.name for one in objectives]})
        before = _open_misses(cursor)
        open_misses = {}
        for objective in objectives:
            missed = follow(objective, before.get(objective.name), judged.get(objective, []))
            for miss in missed:
                _store(cursor, objective, _explained(cursor, objective, miss, settings, findings))
            last = missed[-1] if missed else before.get(objective.name)
            if last and not last.is_over:
                open_misses[objective] = last
        return Evaluation(judged, open_misses)


def _record(cursor: Any, judged: dict[Objective, list[JudgedMinute]]) -> None:
    rows = [(objective, one) for objective, minutes in judged.items() for one in minutes]
    cursor.execute(
        _SQL["record"],
        {
            "objectives": [objective.name for objective, _ in rows],
            "minutes": [one.minute for _, one in rows],
            "values": [one.value for _, one in rows],
            "bounds": [objective.bound for objective, _ in rows],
            "are_met": [one.is_met for _, one in rows],
        },
    )


def _open_misses(cursor: Any) -> dict[str, Miss]:
    cursor.execute(_SQL["open_misses"])
    return {
        objective: Miss(began_at, missed_until, worst_value, miss_id=miss_id, cause=cause)
        for miss_id, objective, began_at, worst_value, cause, missed_until in cursor
    }


def _explained(cursor: Any, objective: Objective, miss: Miss, settings: Settings, findings: list[Finding]) -> Miss:
    if miss.cause is not None:
        return miss
    cause = find_cause(cursor, objective, miss, settings=settings, findings=findings, until=miss.missed_until)
    return replace(miss, cause=cause)


def _store(cursor: Any, objective: Objective, miss: Miss) -> None:
    cursor.execute(
        _SQL["open_miss" if miss.miss_id is None else "go_on_with_miss"],
        {
            "miss_id": miss.miss_id,
            "objective": objective.name,
            "began_at": miss.began_at,
            "ended_at": miss.missed_until if miss.is_over else None,
            "bound": objective.bound,
            "worst_value": miss.worst_value,
            "cause": miss.cause,
        },
    )
