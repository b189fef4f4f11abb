"""Admit the files of the landing folder as rows of ``shop.files``, and plan micro-batches from those rows.

All state about the stream's input is in Postgres. A file is admitted once and loaded once, and the cost of looking for
new files does not grow with the number of files that were loaded before. Spark's checkpoint only numbers the batches,
so losing it loses nothing.
"""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from psycopg2.extras import execute_values

from include.db import load_queries, transaction
from include.db.reconnecting import ReconnectingConnection
from include.db.text import storable
from include.errors import PlatformError
from include.stream.intake.arrivals import Arrival, Arrivals
from include.stream.intake.file_alerts import raise_quarantined
from include.stream.intake.ignored import IGNORED_AFTER_SECONDS
from include.stream.intake.landing import Landing
from include.stream.intake.put_away import put_away_files
from include.stream.intake.rename import rename_new
from include.stream.reading.records import Position
from include.stream.supervision.disk import shortage
from include.stream.supervision.epoch import hold_epoch

TURN_SECONDS = 1.0
# How often to check for new files while nothing waits. A check costs 20 µs; a Spark trigger that finds nothing costs 5
# ms.
_LOOK_SECONDS = 0.01
# Bounds the duration of one admission when a hundred thousand files wait.
MAX_ADMITTED_AT_ONCE = 2000
# A driver that has just started is slow, so its first batches are small and events flow again early. Each batch may be
# twice as large as the one before.
FIRST_BATCH_BYTES = 1024 * 1024
# A batch that fails this often through its own fault is halved. A file that fails this often alone is quarantined.
MAX_FAILURES = 2
# A driver may die for reasons that have nothing to do with its files, so a batch is suspected only after this many
# deaths.
MAX_ATTEMPTS = 4
MAX_DEATHS_ALONE = 6

_SQL = load_queries("admission")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PendingFile:
    """An admitted file of a micro-batch.

    ``path`` is the path in the admitted folder, ``size_bytes`` the number of bytes to read, and ``start`` the position
    at which reading begins.
    """

    file_id: int
    path: str
    size_bytes: int
    start: Position


@dataclass
class Admission:
    """Admit files and plan batches for one driver.

    Parameters
    ----------
    dsn:
        Connection of the role ingest.
    landing:
        The folders.
    query, epoch:
        The query that the files belong to, and the writer epoch that allows this driver to admit them.
    max_files, max_bytes:
        Limits of one micro-batch.
    slice_bytes:
        A file larger than this is loaded in slices of this size, so that it does not hold up the files behind it.
    disks, pause_below_gib:
        Intake pauses while the disk of one of these directories has less free space than this, in GiB.
    timeout_seconds:
        How long to wait for a file when none is there.
    ignored_after_seconds:
        An entry of the landing folder that is not a delivery and has not changed for this long is reported.
    """

    dsn: str
    landing: Landing
    query: str
    epoch: int
    max_files: int
    max_bytes: int
    slice_bytes: int
    disks: tuple[Path, ...] = ()
    pause_below_gib: float = 0.0
    timeout_seconds: float = 0.0
    ignored_after_seconds: float = IGNORED_AFTER_SECONDS
    _arrivals: Arrivals = field(init=False)
    _connection: ReconnectingConnection = field(init=False)
    _may_have_pending: bool = True
    _allowed_bytes: int = FIRST_BATCH_BYTES
    _paused: str | None = None
    _turned_at: float = field(default=float("-inf"))

    def __post_init__(self) -> None:
        self._arrivals = Arrivals(self.landing, ignored_after_seconds=self.ignored_after_seconds)
        self._connection = ReconnectingConnection(self.dsn)

    def recover(self) -> None:
        """Take over the admitted files, and reconcile the folders with Postgres.

        The two differ after a driver died between a commit and a rename.

        Raises
        ------
        PlatformError
            When admitted files are missing and no driver has ever worked with these folders: they are the wrong
            folders.
        """
        self.landing.make()
        connection = self._connection.get()
        with connection, connection.cursor() as cursor:
            hold_epoch(cursor, self.query, self.epoch)
            cursor.execute(_SQL["admitted"])
            admitted = cursor.fetchall()
            is_known = self.landing.is_known()
            if is_known:
                self.landing.take_over(self.epoch)
            missing = [
                (file_id, name, inode)
                for file_id, name, inode in admitted
                if not os.path.lexists(self.landing.admitted_path(self.epoch, file_id, name))
            ]
            if missing:
                # Compare stored names, which differ from the names in the folder when those are not valid UTF-8.
                arrived = {storable(entry.name): entry.name for entry in self.landing.waiting()}
                lost = [name for _, name, _ in missing if name not in arrived]
                if lost and not is_known:
                    raise PlatformError(
                        f"{len(lost):,} admitted files ({lost[0]!r}, …) are not in {self.landing.admitted}, "
                        "and no driver has ever worked with that folder",
                        "Mount the storage of the landing folder here; if the files were removed on purpose, create an "
                        "empty folder named 0 there, and they will be reported as unreadable",
                    )
            self.landing.take_over(self.epoch)
            for file_id, name, inode in missing:
                self._move_in(file_id, arrived.get(name, name), inode)
            put_away_files(cursor, self.landing, self.epoch, self.landing.admitted_ids(self.epoch))

    def next_batch(self) -> list[PendingFile]:
        """Admit the files that arrived, and plan the next batch; return [] when there is none or intake is paused.

        Raises
        ------
        FencedError
            When another driver has taken over.
        """
        is_due = time.monotonic() - self._turned_at >= TURN_SECONDS
        if is_due:
            self._paused = shortage(self.disks, self.pause_below_gib)
        files: list[PendingFile] = []
        if self._paused is None:
            self._admit()
            files = self._plan() if self._may_have_pending else []
        else:
            time.sleep(self.timeout_seconds)
        if is_due:
            self._turn()
        return files

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _turn(self) -> None:
        """Record that the loop turns, and how large the backlog is."""
        files, size_bytes = self._arrivals.left()
        ignored = self._arrivals.ignored()
        connection = self._connection.get()
        with connection, connection.cursor() as cursor:
            cursor.execute(
                _SQL["turn"],
                {
                    "epoch": self.epoch,
                    "files": files,
                    "bytes": size_bytes,
                    "paused": self._paused,
                    "ignored_files": ignored.files,
                    "ignored_since": ignored.since,
                    "ignored_examples": [storable(name) for name in ignored.examples],
                },
            )
        self._turned_at = time.monotonic()

    def _admit(self) -> None:
        arrivals = self._awaited()
        if not arrivals:
            return
        connection = self._connection.get()
        with connection, connection.cursor() as cursor:
            hold_epoch(cursor, self.query, self.epoch)
            ids = execute_values(
                cursor,
                _SQL["admit"],
                [
                    (storable(one.name), one.size_bytes, one.unpacked_bytes, one.arrived_at, one.inode)
                    for one in arrivals
                ],
                page_size=len(arrivals),
                fetch=True,
            )
        # Commit the rows before moving the files. A crash in between leaves a row without its file, which recover()
        # repairs. In the other order it would leave a file that has no row.
        for (file_id,), arrival in zip(ids, arrivals, strict=True):
            self._move_in(file_id, arrival.name, arrival.inode)
        self._may_have_pending = True

    def _awaited(self) -> list[Arrival]:
        """Return the files that have arrived, waiting up to ``timeout_seconds`` for the first one."""
        deadline = time.monotonic() + (0 if self._may_have_pending else self.timeout_seconds)
        while not (arrivals := self._arrivals.take(MAX_ADMITTED_AT_ONCE)) and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
        return arrivals

    def _move_in(self, file_id: int, name: str, inode: int | None) -> None:
        """Move an admitted file out of the landing folder.

        A later file of the same name, recognized by its inode, stays. Pass None for ``inode`` when it is unknown.
        """
        source = Path(self.landing.incoming) / name
        try:
            if inode is None or source.lstat().st_ino == inode:
                rename_new(source, self.landing.admitted_path(self.epoch, file_id, name))
                return
        except (FileNotFoundError, FileExistsError):
            # The file is gone, its target exists, or a newer driver has taken over this folder.
            pass
        # If this driver is still the writer, the reader reports the file as unreadable and it is quarantined with that
        # fault. Another delivery of the same name is admitted separately.
        _log.warning("file %s (%r) vanished between listing and admission", file_id, name)

    def _plan(self) -> list[PendingFile]:
        self._give_up_poison()
        connection = self._connection.get()
        with connection, connection.cursor() as cursor:
            hold_epoch(cursor, self.query, self.epoch)
            cursor.execute(
                _SQL["plan"],
                {
                    "max_files": self.max_files,
                    "max_bytes": min(self._allowed_bytes, self.max_bytes),
                    "slice_bytes": self.slice_bytes,
                    "max_failures": MAX_FAILURES,
                    "max_attempts": MAX_ATTEMPTS,
                },
            )
            planned = sorted(cursor.fetchall())
        self._may_have_pending = bool(planned)
        if planned:
            self._allowed_bytes = min(2 * self._allowed_bytes, self.max_bytes)
        return [
            PendingFile(
                file_id, str(self.landing.admitted_path(self.epoch, file_id, name)), size_bytes, Position(byte, line)
            )
            for file_id, name, size_bytes, byte, line in planned
        ]

    def _give_up_poison(self) -> None:
        """Quarantine the files that fail even alone, so that the others can be loaded."""
        connection = self._connection.get()
        with connection, connection.cursor() as cursor:
            hold_epoch(cursor, self.query, self.epoch)
            cursor.execute(_SQL["quarantine_poison"], {"max_failures": MAX_FAILURES, "max_deaths": MAX_DEATHS_ALONE})
            poison = cursor.fetchall()
            raise_quarantined(cursor, "poison", [f"file {one} ({name}): {error}" for one, name, error in poison])
        if poison:
            with connection, connection.cursor() as cursor:
                put_away_files(cursor, self.landing, self.epoch, [file_id for file_id, _, _ in poison])


def note_failure(dsn: str, query: str, epoch: int, error: str) -> None:
    """Count a failed batch against its files, with the error for an operator to read (role ingest)."""
    with transaction(dsn) as cursor:
        hold_epoch(cursor, query, epoch)
        cursor.execute(_SQL["note_failure"], {"error": storable(error)})


def excuse_attempt(dsn: str, query: str, epoch: int, error: str) -> None:
    """Undo the attempt count of a batch that failed for an external reason (role ingest)."""
    with transaction(dsn) as cursor:
        hold_epoch(cursor, query, epoch)
        cursor.execute(_SQL["excuse_attempt"], {"error": storable(error)})
