"""List the complete files of the landing folder in the order of their arrival."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
import stat
import time
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from include.stream.intake.ignored import IGNORED_AFTER_SECONDS, Ignored, IgnoredEntries
from include.stream.intake.landing import Landing, is_delivery
from include.stream.reading.delivered import is_packed

# Inode, size, modification and change time.
_State = tuple[int, int, int, int]
# When we cannot find out whether a file is being written, it counts as complete after staying unchanged for this long.
QUIET_SECONDS = 2.0


@dataclass(frozen=True)
class Arrival:
    """A file in the landing folder; sizes in bytes.

    ``unpacked_bytes`` is the unpacked size that a gzip file claims, None for other files. ``arrived_at`` is the inode
    change time, set by the rename into the folder; unlike the modification time it cannot be forged. ``inode`` tells
    the file from another one that gets its name later.
    """

    name: str
    size_bytes: int
    unpacked_bytes: int | None
    arrived_at: datetime
    inode: int


class Arrivals:
    """The files that wait in the landing folder.

    The folder is listed again only when everything found before has been taken: with a hundred thousand files in it, a
    listing takes longer than the admission of a few thousand.
    """

    def __init__(self, landing: Landing, *, ignored_after_seconds: float = IGNORED_AFTER_SECONDS) -> None:
        self._landing = landing
        self._ignored = IgnoredEntries(ignored_after_seconds)
        self._watched: dict[str, tuple[_State, float]] = {}
        self._found: deque[tuple[int, str, int]] = deque()
        # If another process breaks our lease in the microsecond in which we hold it, the kernel sends this signal,
        # which would end the process.
        signal.signal(signal.SIGIO, signal.SIG_IGN)

    def take(self, most: int) -> list[Arrival]:
        """Return the oldest complete files, at most ``most``; they are not reported again before the next listing."""
        if not self._found:
            self._list()
        taken: list[Arrival] = []
        while self._found and len(taken) < most:
            _, name, _ = self._found.popleft()
            arrival = self._look(name)
            if arrival is not None:
                taken.append(arrival)
        return taken

    def left(self) -> tuple[int, int]:
        """Return the number and bytes of the files in the folder, complete or not, as of the last listing."""
        if not self._found:
            self._list()
        return len(self._found), sum(size for _, _, size in self._found)

    def ignored(self) -> Ignored:
        """Return the entries of the folder that are not taken in, as of the last check."""
        return self._ignored.found

    def _list(self) -> None:
        found = []
        others: list[os.DirEntry[str]] | None = [] if self._ignored.is_due() else None
        for entry in self._landing.entries():
            if not is_delivery(entry.name):
                if others is not None:
                    others.append(entry)
                continue
            try:
                info = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            found.append((info.st_ctime_ns, entry.name, info.st_size))
        self._found = deque(sorted(found))
        if others is not None:
            self._ignored.look(others)
        if self._watched:
            there = {name for _, name, _ in found}
            self._watched = {name: state for name, state in self._watched.items() if name in there}

    def _look(self, name: str) -> Arrival | None:
        """Return the file as it is now; None when it is gone or not complete yet."""
        path = Path(self._landing.incoming) / name
        try:
            info = path.lstat()
            # Anything other than a regular file will not become any more complete.
            is_written = is_being_written(path) if stat.S_ISREG(info.st_mode) else False
        except FileNotFoundError:
            return None
        if is_written or (is_written is None and not self._is_quiet(name, info)):
            return None
        self._watched.pop(name, None)
        arrived_at = datetime.fromtimestamp(info.st_ctime_ns / 1e9, UTC)
        return Arrival(name, info.st_size, unpacked_bytes(path, info), arrived_at, info.st_ino)

    def _is_quiet(self, name: str, info: os.stat_result) -> bool:
        """Return whether a file stayed unchanged for ``QUIET_SECONDS``, by our clock: a file server's may differ."""
        state = (info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)
        now = time.monotonic()
        known = self._watched.get(name)
        if known is None or known[0] != state:
            self._watched[name] = (state, now)
            return False
        return now - known[1] >= QUIET_SECONDS


def has_arrivals(landing: Landing) -> bool:
    """Return whether a file waits in the landing folder that is not known to be still being written."""
    for entry in landing.waiting():
        with contextlib.suppress(FileNotFoundError):
            if not (entry.is_file(follow_symlinks=False) and is_being_written(Path(entry.path))):
                return True
    return False


def is_being_written(path: Path) -> bool | None:
    """Return whether a process has a regular file open for writing, since not every sender delivers by rename.

    Linux grants a read lease only on a file that has no writer (fcntl(2), F_SETLEASE). Return None when the lease is
    refused for another reason, such as a file of another user or a network file system: then it cannot be known.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError:
        # The reader will report why it cannot be opened.
        return None
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return True if error.errno == errno.EAGAIN else None
    finally:
        os.close(descriptor)
    return False


def unpacked_bytes(path: Path, info: os.stat_result) -> int | None:
    """Return the unpacked size from the last four bytes of a gzip file (RFC 1952, section 2.3.1); None for other files.

    In a file of several members those bytes describe only the last one, so the result is at least four times the packed
    size. The reader enforces the limits whatever these bytes claim.
    """
    if not is_packed(path.name) or not stat.S_ISREG(info.st_mode) or info.st_size < 4:
        return None
    try:
        with path.open("rb") as source:
            source.seek(-4, os.SEEK_END)
            claimed = int.from_bytes(source.read(4), "little")
    except OSError:
        # The reader will report why it cannot be read.
        return None
    return max(claimed, 4 * info.st_size)
