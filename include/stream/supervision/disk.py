"""Check that the disks of the stream have room left, so that intake pauses before anything fails."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from include.settings import Settings
from include.stream.supervision.diagnosis import Finding

_GIB = 1024**3
# A disk with free space but no free inodes takes no file either. The limits are settings in GiB, and each GiB requires
# this many free inodes: the files of some minutes.
_INODES_PER_GIB = 2000


def free_gib(directory: Path) -> float:
    """Return the free space on the disk of a directory, in GiB; of its nearest existing parent if it does not exist."""
    return shutil.disk_usage(_existing(directory)).free / _GIB


def free_inodes(directory: Path) -> int | None:
    """Return how many files still fit on a directory's disk; None where the file system has no such limit."""
    info = os.statvfs(_existing(directory))
    return info.f_favail if info.f_files else None


def shortage(
    directories: Iterable[Path], at_least_gib: float, setting: str = "SHOPSTREAM_PAUSE_BELOW_GIB"
) -> str | None:
    """Describe which disks are too full; return None when every disk has room for data and for more files.

    Parameters
    ----------
    directories:
        One directory on each disk to check.
    at_least_gib:
        Least free space, in GiB; each GiB also requires 2,000 free inodes.
    setting:
        The variable that sets this limit, for the message.
    """
    by_disk = {_existing(directory).stat().st_dev: directory for directory in directories}
    short = [
        f"{free:.2f} GiB are free at {directory}"
        for directory in by_disk.values()
        if (free := free_gib(directory)) < at_least_gib
    ]
    if short:
        return f"{'; '.join(short)}: below the limit of {at_least_gib:g} GiB ({setting}). Free some space"
    least = at_least_gib * _INODES_PER_GIB
    crowded = [
        f"{inodes:,} inodes are free at {directory}"
        for directory in by_disk.values()
        if (inodes := free_inodes(directory)) is not None and inodes < least
    ]
    if crowded:
        return (
            f"{'; '.join(crowded)}: below the limit of {least:,.0f} ({_INODES_PER_GIB:,} for each GiB of {setting}). "
            "Remove small files: the archive, old logs"
        )
    return None


def diagnose_disks(settings: Settings) -> list[Finding]:
    """Diagnose the disks, long before the stream has to pause."""
    full = shortage([settings.landing_dir, settings.root], settings.min_free_gib, "SHOPSTREAM_MIN_FREE_GIB")
    if full is None:
        return []
    more = f"The feed already waits; the stream pauses intake below {settings.pause_below_gib:g} GiB."
    return [Finding("low_disk", "warning", f"{full}: lower SHOPSTREAM_RETENTION_DAYS, or use a larger disk. {more}")]


def _existing(directory: Path) -> Path:
    return next(path for path in (directory, *directory.parents) if path.exists())
