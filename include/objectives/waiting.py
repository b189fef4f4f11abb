"""Count the waiting files in the landing folder itself, since no driver may be running to count them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from include.settings import Settings
from include.stream.intake.landing import Landing


@dataclass(frozen=True)
class Waiting:
    """The number of waiting files (None if the folder cannot be read from here) and the arrival of the oldest one."""

    files: int | None = None
    since: datetime | None = None

    @classmethod
    def of(cls, settings: Settings) -> Waiting:
        """List the landing folder as the stream does; the age of a file counts from its rename into the folder."""
        files, oldest = 0, None
        try:
            for entry in Landing.of(settings).waiting():
                try:
                    arrived = entry.stat(follow_symlinks=False).st_ctime
                except FileNotFoundError:
                    # The stream has taken the file in meanwhile.
                    continue
                files += 1
                oldest = arrived if oldest is None else min(oldest, arrived)
        except OSError:
            return cls()
        return cls(files, None if oldest is None else datetime.fromtimestamp(oldest, UTC))
