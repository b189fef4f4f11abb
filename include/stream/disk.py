"""Whether the disks that the stream needs still have room: intake pauses before anything breaks."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from include.settings import Settings
from include.stream.watch import Finding

_GIB = 1024**3


def free_gib(directory: Path) -> float:
    """Free room on the disk of a directory, GiB; of its nearest parent while it does not exist."""
    return shutil.disk_usage(_existing(directory)).free / _GIB


def shortage(
    directories: Iterable[Path], at_least_gib: float, setting: str = "SHOPSTREAM_PAUSE_BELOW_GIB"
) -> str | None:
    """What is too full, in a sentence with the values; None when every disk has room.

    Parameters
    ----------
    directories:
        One on each disk that counts.
    at_least_gib:
        The least room, GiB.
    setting:
        The variable that sets it.
    """
    by_disk = {_existing(directory).stat().st_dev: directory for directory in directories}
    short = [
        f"{free:.2f} GiB are free at {directory}"
        for directory in by_disk.values()
        if (free := free_gib(directory)) < at_least_gib
    ]
    if not short:
        return None
    return f"{'; '.join(short)}: below the limit of {at_least_gib:g} GiB ({setting}). Make room"


def judge_disks(settings: Settings) -> list[Finding]:
    """Whether there is still room, long before the stream has to pause."""
    full = shortage([settings.landing_dir, settings.root], settings.min_free_gib, "SHOPSTREAM_MIN_FREE_GIB")
    if full is None:
        return []
    more = f"The feed waits already; the stream takes in no files below {settings.pause_below_gib:g} GiB."
    return [
        Finding("low_disk", "warning", f"{full}: lower SHOPSTREAM_RETENTION_DAYS, or give it a larger disk. {more}")
    ]


def _existing(directory: Path) -> Path:
    return next(path for path in (directory, *directory.parents) if path.exists())
