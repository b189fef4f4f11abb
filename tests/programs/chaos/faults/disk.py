"""Fill a disk of the instance, completely or nearly."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from tests.programs.chaos.faults.base import Fault, Scene
from tests.programs.chaos.waiting import wait_for

_FULL_SECONDS = (8.0, 15.0)
_MIB = 1024**2
# Less than SHOPSTREAM_PAUSE_BELOW_GIB, and enough for all work in progress.
_LOW_BYTES = 300 * _MIB


def _filling(name: str) -> Callable[[Scene], float]:
    def act(scene: Scene) -> float:
        disk = scene.instance.disk(name)
        deadline = time.monotonic() + scene.random.uniform(*_FULL_SECONDS)
        try:
            while time.monotonic() < deadline:
                # Files that are deleted meanwhile free no space either.
                disk.fill()
                time.sleep(0.2)
        finally:
            disk.release()
        scene.note(f"{disk.path} was full")
        return time.time()

    return act


def _nearly_filling(scene: Scene) -> float:
    disk = scene.instance.disk("landing")
    try:
        disk.fill(leave_bytes=_LOW_BYTES)
        paused = wait_for(
            lambda: scene.instance.value("SELECT paused FROM shop.runs ORDER BY epoch DESC LIMIT 1"),
            seconds=30,
            what="the intake to pause",
        )
        scene.note(paused)
    finally:
        disk.release()
    return time.time()


def disk_faults() -> Iterator[Fault]:
    """Return the faults: each of the three disks full, and one nearly full."""
    yield Fault("full_data_disk", "full disk under Postgres", _filling("data"), weight=0.5)
    yield Fault("full_checkpoint_disk", "full disk under the checkpoint", _filling("checkpoint"), weight=0.5)
    yield Fault("full_landing_disk", "full disk under the landing folder", _filling("landing"), weight=0.5)
    yield Fault("low_landing_disk", "a disk nearly full: intake pauses", _nearly_filling, weight=0.5)
