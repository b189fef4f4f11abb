"""Stretches of minutes in which an objective was missed: when each began, how bad it was, and whether it is over."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from include.objectives.catalog import Objective

MINUTE = timedelta(minutes=1)
# Nobody knows how it was in a longer gap, so two missed minutes around it are two misses.
LONGEST_GAP = timedelta(minutes=10)


@dataclass(frozen=True)
class JudgedMinute:
    """One minute of one objective: when it began, what was measured (None when there was nothing), the verdict."""

    minute: datetime
    value: float | None
    is_met: bool


@dataclass(frozen=True)
class Miss:
    """Minutes in a row that missed an objective.

    Parameters
    ----------
    began_at, missed_until:
        The beginning of the first of them and the end of the last one.
    worst_value:
        The worst of their values.
    is_over:
        Whether a minute that met the objective has followed, or a gap in which nobody looked.
    miss_id:
        Its row; None for one that is not stored yet.
    cause:
        Why, if that is known.
    """

    began_at: datetime
    missed_until: datetime
    worst_value: float | None
    is_over: bool = False
    miss_id: int | None = None
    cause: str | None = None


def follow(objective: Objective, before: Miss | None, minutes: Iterable[JudgedMinute]) -> list[Miss]:
    """What becomes of the miss that was open before, and what begins, through further judged minutes.

    Returns
    -------
    list of Miss
        Every miss that is new or changed, the oldest first; only the last one can be still open.
    """
    found: list[Miss] = []
    current = before
    for one in minutes:
        if current and (one.is_met or one.minute - current.missed_until > LONGEST_GAP):
            found.append(replace(current, is_over=True))
            current = None
        if not one.is_met:
            worst_value = objective.worst(current.worst_value if current else None, one.value)
            if current:
                current = replace(current, missed_until=one.minute + MINUTE, worst_value=worst_value)
            else:
                current = Miss(one.minute, one.minute + MINUTE, worst_value)
    return [*found, current] if current else found
