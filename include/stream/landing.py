"""The folders that a file passes through, and the names that it has in them.

``landing`` → (admitted) → ``landing-admitted`` → (loaded) → ``landing-archive`` or (at fault) → ``landing-quarantine``.
All are on one file system, so each step is a rename. Admitted files are named by their id, whatever name they came
with: no name can clash, climb out of the folder, or upset a tool.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from include.settings import Settings

SUFFIXES = (".csv", ".csv.gz")
# A file being written is hidden: its writer renames it when it is whole.
HIDDEN = (".", "_")
_LONGEST_NAME_BYTES = 200


@dataclass(frozen=True)
class Landing:
    """The four folders, as strings, so that Spark can carry the object to its Python workers."""

    incoming: str
    admitted: str
    archive: str
    quarantine: str

    @classmethod
    def of(cls, settings: Settings) -> Landing:
        """The folders that the settings name."""
        return cls(
            str(settings.landing_dir),
            str(settings.admitted_dir),
            str(settings.archive_dir),
            str(settings.quarantine_dir),
        )

    def make(self) -> None:
        """Create the folders that are missing."""
        for folder in (self.incoming, self.admitted, self.archive, self.quarantine):
            Path(folder).mkdir(parents=True, exist_ok=True)

    def waiting(self) -> Iterator[os.DirEntry[str]]:
        """The entries of the landing folder that look like delivered files, in no order."""
        with os.scandir(self.incoming) as entries:
            for entry in entries:
                if entry.name.endswith(SUFFIXES) and not entry.name.startswith(HIDDEN):
                    yield entry

    def admitted_path(self, file_id: int, name: str) -> Path:
        """Where an admitted file waits to be loaded."""
        return Path(self.admitted) / f"{file_id}{'.csv.gz' if name.endswith('.gz') else '.csv'}"

    def settled_path(self, file_id: int, name: str, settled_at: datetime, *, is_quarantined: bool) -> Path:
        """Where a file rests after it was loaded or found at fault: by hour, so that expiry removes whole folders."""
        folder = Path(self.quarantine if is_quarantined else self.archive)
        kept = os.fsdecode(os.fsencode(name)[-_LONGEST_NAME_BYTES:])
        return folder / settled_at.astimezone(UTC).strftime("%Y%m%d%H") / f"{file_id}-{kept}"

    def settle(self, file_id: int, name: str, settled_at: datetime, *, is_quarantined: bool) -> None:
        """Move an admitted file to its resting place. Doing it twice is harmless."""
        target = self.settled_path(file_id, name, settled_at, is_quarantined=is_quarantined)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            self.admitted_path(file_id, name).rename(target)
        except FileNotFoundError:
            # Moved by an earlier attempt, or removed by hand after it was read: the ledger has the last word.
            return
