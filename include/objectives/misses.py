"""Combine missed minutes into misses, with their beginning, their worst value, and whether they are over."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from include.objectives.catalog import Objective

MINUTE = timedelta(minutes=1)
# Two missed minutes on both sides of a longer gap are two misses, since the state during the gap is unknown.
LONGEST_GAP = timedelta(minutes=10)


@dataclass(frozen=True)
class EvaluatedMinute:
    """One evaluated minute of one objective; ``value`` is None when there was nothing to measure."""

    minute: datetime
    value: float | None
    is_met: bool


@dataclass(frozen=True)
class Miss:
    """Consecutive minutes that missed an objective.

    Parameters
    ----------
    began_at, missed_until:
        The beginning of the first minute and the end of the last one.
    worst_value:
        The worst value of these minutes.
    is_over:
        Whether a minute that met the objective has followed, or a gap without evaluated minutes.
    miss_id:
        The id of its row; None for a miss that is not stored yet.
    cause:
        The cause, if known.
    """

    began_at: datetime
    missed_until: datetime
    worst_value: float | None
    is_over: bool = False
    miss_id: int | None = None
    cause: str | None = None


def follow(objective: Objective, before: Miss | None, minutes: Iterable[EvaluatedMinute]) -> list[Miss]:
    """Apply further evaluated minutes to the miss that was open before; extend it, end it, or begin new ones.

    Returns
    -------
    list of Miss
        Every new or changed miss, the oldest first; only the last one can still be open.
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
