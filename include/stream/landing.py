"""The folders that a file passes through, and the names that it has in them.

``landing`` → (admitted) → ``landing-admitted`` → (loaded) → ``landing-archive`` or (at fault) → ``landing-quarantine``.
All are on one file system, so each step is a rename. Admitted files are named by their id, whatever name they came
with: no name can clash, climb out of the folder, or upset a tool.

On a cluster the folders are shared by several machines. A machine that does not reach them sees no file, or an empty
folder where they should be mounted, and would call every file unreadable. So the driver leaves a mark of its epoch
among the admitted files, and nobody reads where that mark is missing.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from include.errors import PlatformError
from include.settings import Settings

SUFFIXES = (".csv", ".csv.gz")
# A file being written is hidden: its writer renames it when it is whole.
HIDDEN = (".", "_")
_LONGEST_NAME_BYTES = 200
_MARK = ".epoch-"


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

    def mark(self, epoch: int) -> None:
        """Leave the mark of an epoch in place of the one before it: by rename, which a full disk allows, too."""
        mark = self._mark(epoch)
        for earlier in self._marks():
            earlier.rename(mark)
        mark.touch()

    def is_known(self) -> bool:
        """Whether any driver has ever worked with these folders."""
        return bool(self._marks())

    def check_reached(self, epoch: int) -> None:
        """Refuse to read where the driver of an epoch has left no mark.

        Raises
        ------
        PlatformError
            When this machine sees another folder than the driver, or a newer driver has taken over.
        """
        try:
            self._mark(epoch).lstat()
        except OSError as error:
            raise PlatformError(
                f"{socket.gethostname()} does not see the admitted files of epoch {epoch} in {self.admitted}: {error}",
                "Mount the storage of the landing folder at the same path on every machine of the cluster",
            ) from error

    def _mark(self, epoch: int) -> Path:
        return Path(self.admitted) / f"{_MARK}{epoch}"

    def _marks(self) -> list[Path]:
        return list(Path(self.admitted).glob(f"{_MARK}*"))

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
