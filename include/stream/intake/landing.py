"""The folders that a file passes through, and its names there.

``landing`` → (admitted) → ``landing-admitted/<epoch>`` → (loaded) → ``landing-archive`` or (at fault) →
``landing-quarantine``. All are on one file system, so each step is a rename, and no rename replaces a file. Admitted
files are named by their id, so no delivered name can clash, escape the folder, or confuse a tool.

A driver's admitted files are in a folder named by its epoch. A driver that takes over renames that folder to its own
epoch. A suspended driver that resumes late then has no folder to move a file into: the database refuses its
transactions, and the file system refuses its renames.

On a cluster several machines share the folders. A machine that does not reach them sees no file, or an empty folder
where they should be mounted, and would report every file as unreadable. Tasks therefore refuse to read where the folder
of the epoch is missing.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from include.errors import PlatformError
from include.settings import Settings
from include.stream.intake.rename import rename_new
from include.stream.reading.delivered import is_packed

SUFFIXES = (".csv", ".csv.gz")
# A file with such a name is still being written: its writer renames it when it is complete.
HIDDEN = (".", "_")
# Delivered files hold personal data. An existing folder keeps its mode, since other users may have to deliver into it.
FOLDER_MODE = 0o700
_LONGEST_NAME_BYTES = 200
# Earlier releases kept all admitted files in one folder, with the epoch in the name of an empty file.
_EARLIER_MARK = ".epoch-"


def is_delivery(name: str) -> bool:
    """Return whether a file of this name is taken in; the case of the suffix does not matter."""
    return name.lower().endswith(SUFFIXES) and not name.startswith(HIDDEN)


@dataclass(frozen=True)
class Landing:
    """The four folders, as strings so that Spark can pickle the object for its Python workers."""

    incoming: str
    admitted: str
    archive: str
    quarantine: str

    @classmethod
    def of(cls, settings: Settings) -> Landing:
        """Return the folders that the settings name."""
        return cls(
            str(settings.landing_dir),
            str(settings.admitted_dir),
            str(settings.archive_dir),
            str(settings.quarantine_dir),
        )

    def make(self) -> None:
        """Create missing folders, closed to other users."""
        for folder in (self.incoming, self.admitted, self.archive, self.quarantine):
            _make(Path(folder))

    def take_over(self, epoch: int) -> None:
        """Move the admitted files of all earlier epochs into the folder of this one, creating it if needed.

        Afterwards the folders of earlier epochs are gone, so a driver that still works for one of them cannot move a
        file into it. The folder of a later epoch is left alone.
        """
        own = self._folder(epoch)
        earlier = sorted(number for number in self._epochs() if number < epoch)
        # The newest folder holds nearly all files, and one rename moves it, however many they are.
        if earlier and not own.exists():
            rename_new(self._folder(earlier.pop()), own)
        _make(own)
        for number in earlier:
            self._merge(self._folder(number), own)
        self._merge(Path(self.admitted), own)
        for mark in self._earlier_marks():
            mark.unlink(missing_ok=True)

    def _merge(self, folder: Path, own: Path) -> None:
        """Move the admitted files of a folder into another one; remove the folder when it is empty."""
        while True:
            moved = 0
            for path in list(folder.iterdir()):
                if _id_of(path) is not None:
                    self._move(path, own / path.name)
                    moved += 1
            if folder == Path(self.admitted):
                return
            try:
                folder.rmdir()
            except OSError as error:
                # A file came in meanwhile: try again. If nothing was moved, something that is not ours keeps the
                # folder, and both stay.
                if error.errno not in {errno.ENOTEMPTY, errno.EEXIST} or not moved:
                    return
            else:
                return

    def _move(self, path: Path, target: Path) -> None:
        try:
            rename_new(path, target)
        except FileExistsError:
            # Two files have this id: deliver the second one anew, under a name that records where it was.
            rename_new(path, Path(self.incoming) / f"{path.parent.name}-{path.name}")

    def is_known(self) -> bool:
        """Return whether any driver has ever worked with these folders."""
        return bool(self._epochs() or self._earlier_marks())

    def check_reached(self, epoch: int) -> None:
        """Refuse to read where the folder of an epoch does not exist.

        Raises
        ------
        PlatformError
            When this machine sees other folders than the driver does, or a newer driver has taken over.
        """
        try:
            self._folder(epoch).lstat()
        except OSError as error:
            raise PlatformError(
                f"{socket.gethostname()} does not see the admitted files of epoch {epoch} in {self.admitted}: {error}",
                "Mount the storage of the landing folder at the same path on every machine of the cluster",
            ) from error

    def _folder(self, epoch: int) -> Path:
        return Path(self.admitted) / str(epoch)

    def _epochs(self) -> list[int]:
        with os.scandir(self.admitted) as entries:
            return [int(entry.name) for entry in entries if entry.name.isdecimal() and entry.is_dir()]

    def _earlier_marks(self) -> list[Path]:
        return list(Path(self.admitted).glob(f"{_EARLIER_MARK}*"))

    def entries(self) -> Iterator[os.DirEntry[str]]:
        """Yield all entries of the landing folder, in no particular order."""
        with os.scandir(self.incoming) as entries:
            yield from entries

    def waiting(self) -> Iterator[os.DirEntry[str]]:
        """Return the entries of the landing folder that are taken in, in no particular order."""
        return (entry for entry in self.entries() if is_delivery(entry.name))

    def admitted_path(self, epoch: int, file_id: int, name: str) -> Path:
        """Return the path of a file that is admitted for the driver of an epoch and not loaded yet."""
        return self._folder(epoch) / f"{file_id}{'.csv.gz' if is_packed(name) else '.csv'}"

    def admitted_files(self) -> list[Path]:
        """Return the files in the admitted folders of all epochs."""
        folders = [Path(self.admitted), *map(self._folder, self._epochs())]
        return [path for folder in folders for path in folder.iterdir() if _id_of(path) is not None]

    def admitted_ids(self, epoch: int) -> list[int]:
        """Return the ids of the files in the folder of an epoch, loaded or not; other files are skipped."""
        return [file_id for path in self._folder(epoch).iterdir() if (file_id := _id_of(path)) is not None]

    def final_path(self, file_id: int, name: str, finished_at: datetime, *, is_quarantined: bool) -> Path:
        """Return the path of an archived or quarantined file, by hour, so that expiry removes whole folders."""
        folder = Path(self.quarantine if is_quarantined else self.archive)
        # Keep the end of a long name, with its suffix; a character that the limit cuts in two is dropped.
        kept = os.fsencode(name)[-_LONGEST_NAME_BYTES:].decode("utf-8", "ignore")
        return folder / finished_at.astimezone(UTC).strftime("%Y%m%d%H") / f"{file_id}-{kept}"

    def put_away(self, epoch: int, file_id: int, name: str, finished_at: datetime, *, is_quarantined: bool) -> None:
        """Move an admitted file to the archive or the quarantine. A second call does no harm.

        Raises
        ------
        OSError
            When the file exists but cannot be moved; it stays where it is.
        """
        source = self.admitted_path(epoch, file_id, name)
        target = self.final_path(file_id, name, finished_at, is_quarantined=is_quarantined)
        _make(target.parent)
        try:
            rename_new(source, target)
        except FileExistsError:
            rename_new(source, target.with_name(f"{file_id}-{time.time_ns()}{source.name.removeprefix(str(file_id))}"))
        except FileNotFoundError:
            # An earlier attempt moved it, or it was removed by hand after it was read; the ledger already has its
            # result.
            return


def _make(folder: Path) -> None:
    folder.mkdir(FOLDER_MODE, parents=True, exist_ok=True)


def _id_of(path: Path) -> int | None:
    """Return the id in the name of an admitted file; None for any other name."""
    stem, _, suffix = path.name.partition(".")
    return int(stem) if stem.isdecimal() and f".{suffix}" in SUFFIXES else None
