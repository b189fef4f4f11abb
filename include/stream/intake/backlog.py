"""Count the files that wait, without the driver: its last report means nothing once it is gone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from include.settings import Settings
from include.stream.intake.landing import Landing


@dataclass(frozen=True)
class Landed:
    """The files in the landing folder that are not admitted yet: number, bytes, and arrival of the oldest."""

    files: int
    size_bytes: int
    oldest_at: datetime | None


def count_landed(settings: Settings) -> Landed | None:
    """List the landing folder; return None where it cannot be seen, as on a machine without its storage."""
    landing = Landing.of(settings)
    files = size_bytes = 0
    oldest: float | None = None
    try:
        for entry in landing.waiting():
            try:
                info = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            files += 1
            size_bytes += info.st_size
            oldest = info.st_ctime if oldest is None else min(oldest, info.st_ctime)
    except OSError:
        return None
    return Landed(files, size_bytes, None if oldest is None else datetime.fromtimestamp(oldest, UTC))


def sees_landing(settings: Settings, epoch: int | None) -> bool:
    """Return whether this machine sees the folders of an epoch's driver, and not empty ones of the same name."""
    return epoch is None or Landing.of(settings).is_known()
