"""Inject one fault between two calm states, and decide whether the promises were kept."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from typing import Literal

from tests.programs.chaos.faults import Fault, Scene
from tests.programs.chaos.feed import Feed
from tests.programs.chaos.instance import Identity, Instance
from tests.programs.chaos.waiting import BrokenPromiseError, NotTriedHereError, wait_for

Driver = Literal["same", "same process, new epoch", "new"]

# Faults come at a random phase of the batches, of which there are a few per second.
_PHASE_SECONDS = 2.0
_CALM_SECONDS = 180.0


@dataclass
class Injection:
    """The outcome of one fault.

    Attributes
    ----------
    recovery_seconds:
        From the injection (or the end of a fault that does not heal itself) to the commit of a file that arrived after
        it; None when there was none in time.
    driver:
        Who loads events afterwards.
    violation:
        The promise that was not kept; None when it survived.
    not_tried:
        Why this machine did not allow it; None when it did.
    is_calm:
        Whether the instance was well again by itself.
    """

    fault: Fault
    recovery_seconds: float | None = None
    driver: Driver | None = None
    violation: str | None = None
    not_tried: str | None = None
    is_calm: bool = True
    notes: list[str] = field(default_factory=list)

    @property
    def line(self) -> str:
        """Return the outcome as a line for people."""
        if self.not_tried:
            return f"{self.fault.name}: not tried here: {self.not_tried}"
        verdict = f"VIOLATION: {self.violation}" if self.violation else "survived"
        if self.overrun:
            verdict += f", LATE: {self.overrun}"
        recovery = f"recovered in {self.recovery_seconds:.1f} s" if self.recovery_seconds is not None else "no recovery"
        notes = f" ({'; '.join(self.notes)})" if self.notes else ""
        return f"{self.fault.name}: {recovery}, driver: {self.driver}, {verdict}{notes}"

    @property
    def overrun(self) -> str | None:
        """By how much it missed the promised time; None when it did not, or none is promised.

        Told apart from a violation: the speed of a machine can mend it.
        """
        promised, seconds = self.fault.promised_seconds, self.recovery_seconds
        if promised is None or seconds is None or seconds <= promised:
            return None
        return f"events flowed again after {seconds:.1f} s, promised are {promised:.0f} s"


def inject(fault: Fault, chance: random.Random, instance: Instance, feed: Feed) -> Injection:
    """Inject a fault into a calm instance, wait until it is calm again, and check the outcome."""
    before = wait_for(instance.identity, seconds=30, what="a run of the stream")
    scene = Scene(instance, feed, before, chance)
    injection = Injection(fault, notes=scene.notes)
    time.sleep(chance.uniform(0, _PHASE_SECONDS))
    try:
        since = fault.act(scene)
        committed = wait_for(
            lambda: instance.first_commit_after(since),
            seconds=fault.timeout_seconds,
            what=f"events to flow after {fault.name}",
        )
        injection.recovery_seconds = committed - since
    except NotTriedHereError as error:
        injection.not_tried = str(error)
    except Exception as error:
        # The run continues with the next fault if the instance recovers, and fails at its end.
        injection.violation = f"{type(error).__name__}: {error}"
    try:
        instance.wait_for_calm(seconds=_CALM_SECONDS, with_airflow=fault.with_airflow)
        after = wait_for(instance.identity, seconds=30, what="a run of the stream")
    except BrokenPromiseError as error:
        injection.is_calm = False
        injection.violation = injection.violation or " ".join([str(error), *getattr(error, "__notes__", [])])
        return injection
    injection.driver = _compare(scene.before, after)
    if fault.keeps_driver and injection.driver != "same" and not injection.not_tried:
        injection.violation = injection.violation or f"the driver was to stay untouched, but it is: {injection.driver}"
    return injection


def _compare(before: Identity, after: Identity) -> Driver:
    if before == after:
        return "same"
    return "same process, new epoch" if before.pid == after.pid else "new"
