"""Faults with two drivers at once, one of which was believed dead."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator

import psutil

from tests.programs.chaos.faults.base import Fault, Scene
from tests.programs.chaos.faults.database import divert
from tests.programs.chaos.instance import Instance, kill
from tests.programs.chaos.proxy import Link, Point, Proxy
from tests.programs.chaos.rival import Rival
from tests.programs.chaos.waiting import BrokenPromiseError, wait_for

_REACH_SECONDS = 60.0
_AWAKE_SECONDS = 8.0
# A batch that a fenced driver committed after its successor had taken its epoch.
_LATE_COMMITS = """
SELECT count(*) FROM shop.batches
WHERE epoch < %(epoch)s AND committed_at > (SELECT started_at FROM shop.runs WHERE epoch = %(epoch)s)
"""


def _check_fence(instance: Instance, epoch: int) -> None:
    late = wait_for(
        lambda: instance.rows(_LATE_COMMITS, epoch=epoch), seconds=60, what="Postgres to tell of late commits"
    )[0][0]
    if late:
        raise BrokenPromiseError(f"{late} batches were committed by drivers before epoch {epoch} after it was taken")


def _wait_for_events(instance: Instance, since: float, what: str) -> None:
    wait_for(lambda: instance.first_commit_after(since), seconds=90, what=what)


def _second_driver(*, has_own_checkpoint: bool) -> Callable[[Scene], float]:
    def act(scene: Scene) -> float:
        instance = scene.instance
        with Rival(instance, has_own_checkpoint=has_own_checkpoint) as rival:
            taken = rival.wait_for_takeover()
            since = time.time()
            _wait_for_events(instance, since, "events to flow with two drivers")
            scene.note(f"the second driver took epoch {taken.epoch}")
            # The instance's own driver may have taken over again, which ends the second one.
            was_running = rival.runs
        _check_fence(instance, taken.epoch)
        return time.time() if was_running else since

    return act


def _zombie(scene: Scene, stop: Callable[[list[psutil.Process]], None]) -> float:
    """Stop the driver, let another take over, and resume it."""
    instance = scene.instance
    zombie = instance.driver()
    with Rival(instance, has_own_checkpoint=True) as rival:
        stop(zombie)
        try:
            taken = rival.wait_for_takeover()
            since = time.time()
            _wait_for_events(instance, since, "the successor to load events")
        finally:
            awake = kill(zombie, signal.SIGCONT)
        scene.note(f"epoch {taken.epoch} was taken; {len(awake)} of {len(zombie)} zombie processes woke up")
        # Give it time to try to continue.
        _wait_for_events(instance, time.time() + _AWAKE_SECONDS, "events to flow beside the zombie")
        was_running = rival.runs
    _check_fence(instance, taken.epoch)
    return time.time() if was_running else since


def _stop(driver: list[psutil.Process]) -> None:
    kill(driver, signal.SIGSTOP)


def _zombie_anywhere(scene: Scene) -> float:
    return _zombie(scene, _stop)


def _zombie_in_transaction(scene: Scene) -> float:
    """Stop the driver while it holds the epoch's lock."""
    with Proxy(scene.instance.settings) as proxy:
        divert(scene, proxy)

        def stop(driver: list[psutil.Process]) -> None:
            def action(link: Link) -> bool:
                _stop(driver)
                return True

            proxy.strike(Point.MID_COPY, action, seconds=_REACH_SECONDS)

        return _zombie(scene, stop)


def rival_faults() -> Iterator[Fault]:
    """Return the faults: second drivers and zombies."""
    yield Fault(
        "second_driver",
        "a second driver, on a checkpoint of its own",
        _second_driver(has_own_checkpoint=True),
        with_airflow=True,
        weight=0.3,
    )
    yield Fault(
        "second_driver_same_checkpoint",
        "a second driver, on the same checkpoint",
        _second_driver(has_own_checkpoint=False),
        with_airflow=True,
        weight=0.3,
    )
    yield Fault("zombie", "a driver is stopped, replaced, and wakes up", _zombie_anywhere, weight=0.2)
    yield Fault(
        "zombie_in_transaction",
        "a driver is stopped within a transaction, replaced, and wakes up",
        _zombie_in_transaction,
        weight=0.2,
    )
