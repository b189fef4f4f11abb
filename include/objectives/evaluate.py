"""Evaluate the objectives every minute from the data in the database; a miss is data, not a failure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from include.alerts.planned import note_catching_up
from include.db import load_queries, transaction
from include.objectives.catalog import Objective, objectives_of
from include.objectives.causes import find_cause
from include.objectives.measure import measure, minutes_to_evaluate
from include.objectives.misses import EvaluatedMinute, Miss, follow
from include.objectives.waiting import Waiting
from include.settings import Settings
from include.stream.supervision.diagnosis import Finding, Limits, diagnose
from include.stream.supervision.status import stream_status

# An arbitrary number that all evaluations share.
_ADVISORY_LOCK = 5_340_013
_SQL = load_queries("objectives")


@dataclass(frozen=True)
class Evaluation:
    """The result of one evaluation: the evaluated minutes by objective, and the open misses."""

    evaluated: dict[Objective, list[EvaluatedMinute]]
    open_misses: dict[Objective, Miss]

    @property
    def minutes(self) -> int:
        """Number of evaluated minutes, for the objective with the most of them."""
        return max((len(minutes) for minutes in self.evaluated.values()), default=0)


def evaluate(dsn: str, settings: Settings, *, now: datetime | None = None) -> Evaluation:
    """Evaluate the minutes that have ended since the last evaluation, and record them with their misses.

    The minutes of an outage of the database, of Airflow or of the whole machine are evaluated afterwards. Only planned
    downtime is left out.

    Parameters
    ----------
    dsn:
        A connection as role ops.
    settings:
        Settings of the installation, with the bound of the backlog and the limits of the stream.
    now:
        The time to use as now; default the database's clock.
    """
    # Read the status before the transaction, since this needs a connection of its own.
    findings = diagnose(stream_status(dsn), Limits.of(settings))
    waiting = Waiting.of(settings)
    with transaction(dsn) as cursor:
        cursor.execute(_SQL["lock"], {"key": _ADVISORY_LOCK})
        note_catching_up(cursor, waiting.since, now)
        minutes = minutes_to_evaluate(cursor, now)
        objectives = objectives_of(settings)
        evaluated = measure(cursor, objectives, minutes, waiting) if minutes else {}
        _record(cursor, evaluated)
        cursor.execute(_SQL["end_misses_of_others"], {"objectives": [one.name for one in objectives]})
        before = _open_misses(cursor)
        open_misses = {}
        for objective in objectives:
            missed = follow(objective, before.get(objective.name), evaluated.get(objective, []))
            for miss in missed:
                _store(cursor, objective, _explained(cursor, objective, miss, settings, findings))
            last = missed[-1] if missed else before.get(objective.name)
            if last and not last.is_over:
                open_misses[objective] = last
        return Evaluation(evaluated, open_misses)


def _record(cursor: Any, evaluated: dict[Objective, list[EvaluatedMinute]]) -> None:
    rows = [(objective, one) for objective, minutes in evaluated.items() for one in minutes]
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
