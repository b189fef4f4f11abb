"""Admission: the files of the landing folder become rows of ``shop.files``, whose ids are the offsets of the stream.

The state of the stream's input is thus in Postgres and nowhere else: a file is admitted once, loaded once, and the
cost of looking for new ones does not grow with the number that have been. Spark's checkpoint only numbers batches; it
can be lost without loss.
"""

from __future__ import annotations

import logging
import os
import stat
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from psycopg2.extensions import connection as Connection
from psycopg2.extras import execute_values

from include.db import connect, load_queries, one_row
from include.stream.epoch import hold_epoch
from include.stream.landing import Landing
from include.stream.settle import settle_files

HEARTBEAT_SECONDS = 1.0
# Bounds the time of one admission when a hundred thousand files wait.
MAX_ADMITTED_AT_ONCE = 2000

_SQL = load_queries("admission")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PendingFile:
    """An admitted file that waits to be loaded; its path is the one in the admitted folder."""

    file_id: int
    path: str
    size_bytes: int


@dataclass
class Admission:
    """The admitting side of one driver.

    Parameters
    ----------
    dsn:
        Connection of the role ingest.
    landing:
        The folders.
    query, epoch:
        Whose files these are, and the right to admit them.
    max_files, max_bytes:
        Bounds of one micro-batch; a file larger than ``max_bytes`` is a batch of its own.
    """

    dsn: str
    landing: Landing
    query: str
    epoch: int
    max_files: int
    max_bytes: int
    _connection: Connection | None = None
    _has_pending: bool = True
    _beaten_at: float = field(default=float("-inf"))

    def recover(self) -> None:
        """Bring the folders in line with Postgres after a driver died between a commit and a rename."""
        self.landing.make()
        connection = self._connected()
        with connection, connection.cursor() as cursor:
            hold_epoch(cursor, self.query, self.epoch)
            cursor.execute(_SQL["admitted"])
            for file_id, name in cursor.fetchall():
                admitted = self.landing.admitted_path(file_id, name)
                if not admitted.exists():
                    self._move_in(file_id, name)
            stems = [path.name.split(".")[0] for path in Path(self.landing.admitted).iterdir()]
            # What somebody else has put there is none of ours.
            settle_files(cursor, self.landing, [int(stem) for stem in stems if stem.isdecimal()])

    def first_offset(self) -> int:
        """The offset before the first file that still waits: where a new query begins, whatever came before it."""
        connection = self._connected()
        with connection, connection.cursor() as cursor:
            cursor.execute(_SQL["first_offset"])
            return int(one_row(cursor)[0])

    def latest_offset(self, start: int) -> int:
        """Admit what has arrived; the offset of the last file of the next batch, or ``start`` when there is none.

        Raises
        ------
        FencedError
            When another driver has taken over.
        """
        self._admit()
        end = self._end_of_batch(start) if self._has_pending else start
        if time.monotonic() - self._beaten_at >= HEARTBEAT_SECONDS:
            self.beat()
        return end

    def pending(self, start: int, end: int) -> list[PendingFile]:
        """The files with ids in (start, end] that wait to be loaded, in order."""
        connection = self._connected()
        with connection, connection.cursor() as cursor:
            cursor.execute(_SQL["pending"], {"start": start, "end": end})
            return [
                PendingFile(file_id, str(self.landing.admitted_path(file_id, name)), size_bytes)
                for file_id, name, size_bytes in cursor.fetchall()
            ]

    def beat(self) -> None:
        """Record that the loop turns, and what waits."""
        arriving = list(self.landing.waiting())
        connection = self._connected()
        with connection, connection.cursor() as cursor:
            cursor.execute(
                _SQL["beat"],
                {"epoch": self.epoch, "files": len(arriving), "bytes": sum(_size(entry.path) for entry in arriving)},
            )
        self._beaten_at = time.monotonic()

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()

    def _connected(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._connection = connect(self.dsn)
        return self._connection

    def _admit(self) -> None:
        arrivals = []
        for entry in self.landing.waiting():
            try:
                info = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            # The change time is that of the rename into this folder, and cannot be forged; the modification time can.
            arrivals.append((info.st_ctime_ns, entry.name, info.st_size, unpacked_bytes(Path(entry.path), info)))
        if not arrivals:
            return
        # Names differ, so that the sizes never decide the order.
        arrivals = sorted(arrivals, key=lambda arrival: arrival[:2])[:MAX_ADMITTED_AT_ONCE]
        connection = self._connected()
        with connection, connection.cursor() as cursor:
            hold_epoch(cursor, self.query, self.epoch)
            ids = execute_values(
                cursor,
                _SQL["admit"],
                [
                    (_storable(name), size, unpacked, datetime.fromtimestamp(changed_ns / 1e9, UTC))
                    for changed_ns, name, size, unpacked in arrivals
                ],
                page_size=len(arrivals),
                fetch=True,
            )
        # The rows are committed before the files move: a crash in between leaves a row without its file, which
        # recover() mends. The other way round it would leave a file that nobody knows.
        for (file_id,), (_, name, *_) in zip(ids, arrivals, strict=True):
            self._move_in(file_id, name)
        self._has_pending = True

    def _move_in(self, file_id: int, name: str) -> None:
        try:
            (Path(self.landing.incoming) / name).rename(self.landing.admitted_path(file_id, name))
        except FileNotFoundError:
            # Its reader will report it as unreadable, and the file is settled with that fault.
            _log.warning("file %s (%r) vanished between listing and admission", file_id, name)

    def _end_of_batch(self, start: int) -> int:
        connection = self._connected()
        with connection, connection.cursor() as cursor:
            cursor.execute(
                _SQL["end_of_batch"], {"start": start, "max_files": self.max_files, "max_bytes": self.max_bytes}
            )
            (end,) = one_row(cursor)
        self._has_pending = end is not None
        return start if end is None else int(end)


def unpacked_bytes(path: Path, info: os.stat_result) -> int | None:
    """What a gzip file says of its size unpacked, by its last four bytes (RFC 1952, section 2.3.1); None for others.

    Of a file of several members it is the size of the last one, so the packed size, four times over, is the least that
    is reckoned with. The reader enforces the limit of one file, whatever its end says.
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


def _size(path: str) -> int:
    try:
        return Path(path).lstat().st_size
    except FileNotFoundError:
        return 0


def _storable(name: str) -> str:
    """A file name as text: bytes that are not UTF-8 are escaped."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
