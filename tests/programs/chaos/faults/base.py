"""Define a fault."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.programs.chaos.feed import Feed
from tests.programs.chaos.instance import Identity, Instance

PROMISED_SECONDS = 20.0


@dataclass
class Scene:
    """The surroundings of a fault.

    Attributes
    ----------
    instance, feed:
        The instance, calm until now, and what feeds it.
    before:
        Who loads events before the fault.
    random:
        Of this one injection: the same seed and place in the schedule give the same choices.
    notes:
        What the fault wants to be known of what it did.
    """

    instance: Instance
    feed: Feed
    before: Identity
    random: random.Random
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Add to the notes."""
        self.notes.append(text)


@dataclass(frozen=True)
class Fault:
    """Something that is broken on purpose.

    Parameters
    ----------
    name, title:
        For the command line, and for people.
    act:
        Breaks it, and mends again what does not mend itself (a full disk, a stopped process). Returns the moment from
        which the recovery counts, Unix seconds: that of the injection when the instance heals by itself from then on,
        that of the end of the fault otherwise. Raises a BrokenPromiseError when the instance does what it must not do.
    keeps_driver:
        Whether the driver must not notice: same process, same epoch.
    promised_seconds:
        Longest recovery that is promised; None when it is only measured.
    timeout_seconds:
        When to give up waiting for the recovery.
    with_airflow:
        Whether Airflow must be healthy again before the next fault.
    weight:
        How likely the schedule repeats it; slow ones less.
    """

    name: str
    title: str
    act: Callable[[Scene], float]
    keeps_driver: bool = False
    promised_seconds: float | None = None
    timeout_seconds: float = 120.0
    with_airflow: bool = False
    weight: float = 1.0
