"""Whether the disks that the stream needs still have room: intake pauses before anything breaks."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

_GIB = 1024**3


def free_gib(directory: Path) -> float:
    """Free room on the disk of a directory, GiB; of its nearest parent while it does not exist."""
    return shutil.disk_usage(_existing(directory)).free / _GIB


def shortage(directories: Iterable[Path], at_least_gib: float) -> str | None:
    """What is too full, in a sentence with the values; None when every disk has room.

    Parameters
    ----------
    directories:
        One on each disk that counts.
    at_least_gib:
        The least room, GiB.
    """
    by_disk = {_existing(directory).stat().st_dev: directory for directory in directories}
    short = [
        f"{free:.2f} GiB are free at {directory}"
        for directory in by_disk.values()
        if (free := free_gib(directory)) < at_least_gib
    ]
    if not short:
        return None
    return f"{'; '.join(short)}: below the limit of {at_least_gib:g} GiB (SHOPSTREAM_PAUSE_BELOW_GIB). Make room"


def _existing(directory: Path) -> Path:
    return next(path for path in (directory, *directory.parents) if path.exists())
