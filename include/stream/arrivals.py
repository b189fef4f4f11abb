"""The files of the landing folder that are whole, in the order of their arrival."""

from __future__ import annotations

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

from include.stream.landing import Landing

# A file whose writer cannot be asked for counts as whole when nothing has changed it for this time.
QUIET_SECONDS = 2.0


@dataclass(frozen=True)
class Arrival:
    """A file in the landing folder; sizes in bytes.

    ``unpacked_bytes`` is what a gzip file says of itself, None for others. ``arrived_at`` is its inode change time:
    that of the rename into the folder, which cannot be forged as the modification time can.
    """

    name: str
    size_bytes: int
    unpacked_bytes: int | None
    arrived_at: datetime


class Arrivals:
    """What waits in the landing folder.

    The folder is listed anew only when all that was found has been taken: with a hundred thousand files in it, a
    listing takes longer than the admission of a few thousand.
    """

    def __init__(self, landing: Landing) -> None:
        self._landing = landing
        self._found: deque[tuple[int, str, int]] = deque()
        # A lease that is broken in the microsecond in which we hold it sends this signal, which would end the process.
        signal.signal(signal.SIGIO, signal.SIG_IGN)

    def take(self, most: int) -> list[Arrival]:
        """The oldest whole files, at most ``most``; they are not reported again before the next listing."""
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
        """Number and bytes of the files that lie in the folder, whole or not; some may have gone since."""
        if not self._found:
            self._list()
        return len(self._found), sum(size for _, _, size in self._found)

    def _list(self) -> None:
        found = []
        for entry in self._landing.waiting():
            try:
                info = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            found.append((info.st_ctime_ns, entry.name, info.st_size))
        self._found = deque(sorted(found))

    def _look(self, name: str) -> Arrival | None:
        """The file as it is now; None when it is gone or not whole yet."""
        path = Path(self._landing.incoming) / name
        info = _status_of_whole(path)
        if info is None:
            return None
        arrived_at = datetime.fromtimestamp(info.st_ctime_ns / 1e9, UTC)
        return Arrival(name, info.st_size, unpacked_bytes(path, info), arrived_at)


def has_arrivals(landing: Landing) -> bool:
    """Whether a whole file waits in the landing folder."""
    return any(_status_of_whole(Path(entry.path)) for entry in landing.waiting())


def _status_of_whole(path: Path) -> os.stat_result | None:
    """The status of a file, if it is there and whole; what is no regular file is as whole as it will ever be."""
    try:
        info = path.lstat()
        return None if stat.S_ISREG(info.st_mode) and is_being_written(path, info) else info
    except FileNotFoundError:
        return None


def is_being_written(path: Path, info: os.stat_result) -> bool:
    """Whether a process has a regular file open for writing: not every sender delivers by rename.

    Linux grants a read lease only on a file that nobody writes (fcntl(2), F_SETLEASE). Where it grants none for another
    reason (somebody else's file, a network file system), a file counts as whole when it has been quiet for a while.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError:
        # Its reader will say why it cannot be opened.
        return _is_fresh(info)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN or _is_fresh(info)
    finally:
        os.close(descriptor)
    return False


def _is_fresh(info: os.stat_result) -> bool:
    return 0 <= time.time() - info.st_ctime < QUIET_SECONDS


def unpacked_bytes(path: Path, info: os.stat_result) -> int | None:
    """What a gzip file says of its size unpacked, by its last four bytes (RFC 1952, section 2.3.1); None for others.

    Of a file of several members it is the size of the last one, so the packed size, four times over, is the least that
    is reckoned with. The reader enforces the limits, whatever its end says.
    """
    if not path.name.endswith(".gz") or not stat.S_ISREG(info.st_mode) or info.st_size < 4:
        return None
    try:
        with path.open("rb") as source:
            source.seek(-4, os.SEEK_END)
            claimed = int.from_bytes(source.read(4), "little")
    except OSError:
        # Its reader will say why it cannot be read.
        return None
    return max(claimed, 4 * info.st_size)
