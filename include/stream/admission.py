"""Admission: the files of the landing folder become rows of ``shop.files``, and those become micro-batches.

The state of the stream's input is thus in Postgres and nowhere else: a file is admitted once, loaded once, and the
cost of looking for new ones does not grow with the number that have been. Spark's checkpoint only numbers batches; it
can be lost without loss.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from pathlib import Path

from psycopg2.extras import execute_values

from include.db import load_queries, transaction
from include.db.lasting import LastingConnection
from include.errors import PlatformError
from include.stream.alarms import raise_quarantined
from include.stream.arrivals import Arrival, Arrivals
from include.stream.disk import shortage
from include.stream.epoch import hold_epoch
from include.stream.landing import Landing
from include.stream.records import Position
from include.stream.settle import settle_files

TURN_SECONDS = 1.0
# How often a look is taken while nothing waits: a look costs 20 µs, a trigger of Spark's that finds nothing 5 ms.
_LOOK_SECONDS = 0.01
# Bounds the time of one admission when a hundred thousand files wait.
MAX_ADMITTED_AT_ONCE = 2000
# A driver that has just started is slow: its first batches are small, so that events flow again early. Each may be
# twice as large as the one before.
FIRST_BATCH_BYTES = 1024 * 1024
# A batch that fails this often for a reason of its own is halved, and a file that does so alone is quarantined.
MAX_FAILURES = 2
# A driver may die for reasons that are no file's: only after this many deaths with the same batch it is suspected.
MAX_ATTEMPTS = 4
MAX_DEATHS_ALONE = 6

_SQL = load_queries("admission")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PendingFile:
    """An admitted file of a micro-batch.

    ``path`` is the one in the admitted folder, ``size_bytes`` what is to be read of it, ``start`` where that begins.
    """

    file_id: int
    path: str
    size_bytes: int
    start: Position


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
        Bounds of one micro-batch.
    part_bytes:
        Of a file larger than this only a part is loaded at once, so that it does not hold up the files behind it.
    disks, pause_below_gib:
        Nothing is taken in while one of these directories' disks has less room.
    patience_seconds:
        How long to wait for a file when none is there.
    """

    dsn: str
    landing: Landing
    query: str
    epoch: int
    max_files: int
    max_bytes: int
    part_bytes: int
    disks: tuple[Path, ...] = ()
    pause_below_gib: float = 0.0
    patience_seconds: float = 0.0
    _arrivals: Arrivals = field(init=False)
    _connection: LastingConnection = field(init=False)
    _may_have_pending: bool = True
    _allowed_bytes: int = FIRST_BATCH_BYTES
    _paused: str | None = None
    _turned_at: float = field(default=float("-inf"))

    def __post_init__(self) -> None:
        self._arrivals = Arrivals(self.landing)
        self._connection = LastingConnection(self.dsn)

    def recover(self) -> None:
        """Bring the folders in line with Postgres after a driver died between a commit and a rename; leave our mark.

        Raises
        ------
        PlatformError
            When admitted files are missing from folders that no driver has worked with: these are others.
        """
        self.landing.make()
        connection = self._connection.get()
        with connection, connection.cursor() as cursor:
            hold_epoch(cursor, self.query, self.epoch)
            cursor.execute(_SQL["admitted"])
            missing = [
                (file_id, name)
                for file_id, name in cursor.fetchall()
                if not self.landing.admitted_path(file_id, name).exists()
            ]
            if missing:
                # By the name as it is stored, which is not always the one in the folder.
                arrived = {_storable(entry.name): entry.name for entry in self.landing.waiting()}
                lost = [name for _, name in missing if name not in arrived]
                if lost and not self.landing.is_known():
                    raise PlatformError(
                        f"{len(lost):,} admitted files ({lost[0]!r}, …) are not in {self.landing.admitted}, "
                        "and no driver has ever worked with that folder",
                        "Mount the storage of the landing folder here; if the files were removed on purpose, make an "
                        "empty file named .epoch-0 there, and they will be reported as unreadable",
                    )
                for file_id, name in missing:
                    self._move_in(file_id, arrived.get(name, name))
            stems = [path.name.split(".")[0] for path in Path(self.landing.admitted).iterdir()]
            # What somebody else has put there is none of ours.
            settle_files(cursor, self.landing, [int(stem) for stem in stems if stem.isdecimal()])
        self.landing.mark(self.epoch)

    def next_batch(self) -> list[PendingFile]:
        """Admit what has arrived, and plan the next batch; empty when nothing comes or intake is paused.

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
            time.sleep(self.patience_seconds)
        if is_due:
            self._turn()
        return files

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _turn(self) -> None:
        """Record that the loop turns, and what waits."""
        files, size_bytes = self._arrivals.left()
        connection = self._connection.get()
        with connection, connection.cursor() as cursor:
            cursor.execute(
                _SQL["turn"], {"epoch": self.epoch, "files": files, "bytes": size_bytes, "paused": self._paused}
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
                [(_storable(one.name), one.size_bytes, one.unpacked_bytes, one.arrived_at) for one in arrivals],
                page_size=len(arrivals),
                fetch=True,
            )
        # The rows are committed before the files move: a crash in between leaves a row without its file, which
        # recover() mends. The other way round it would leave a file that nobody knows.
        for (file_id,), arrival in zip(ids, arrivals, strict=True):
            self._move_in(file_id, arrival.name)
        self._may_have_pending = True

    def _awaited(self) -> list[Arrival]:
        """What has arrived, or arrives soon."""
        deadline = time.monotonic() + (0 if self._may_have_pending else self.patience_seconds)
        while not (arrivals := self._arrivals.take(MAX_ADMITTED_AT_ONCE)) and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
        return arrivals

    def _move_in(self, file_id: int, name: str) -> None:
        try:
            (Path(self.landing.incoming) / name).rename(self.landing.admitted_path(file_id, name))
        except FileNotFoundError:
            # Its reader will report it as unreadable, and the file is settled with that fault.
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
                    "part_bytes": self.part_bytes,
                    "max_failures": MAX_FAILURES,
                    "max_attempts": MAX_ATTEMPTS,
                },
            )
            planned = sorted(cursor.fetchall())
        self._may_have_pending = bool(planned)
        if planned:
            self._allowed_bytes = min(2 * self._allowed_bytes, self.max_bytes)
        return [
            PendingFile(file_id, str(self.landing.admitted_path(file_id, name)), size_bytes, Position(byte, line))
            for file_id, name, size_bytes, byte, line in planned
        ]

    def _give_up_poison(self) -> None:
        """Quarantine the files that fail also alone, so that the others can be loaded."""
        connection = self._connection.get()
        with connection, connection.cursor() as cursor:
            hold_epoch(cursor, self.query, self.epoch)
            cursor.execute(_SQL["quarantine_poison"], {"max_failures": MAX_FAILURES, "max_deaths": MAX_DEATHS_ALONE})
            poison = cursor.fetchall()
            raise_quarantined(cursor, "poison", [f"file {one} ({name}): {error}" for one, name, error in poison])
        if poison:
            with connection, connection.cursor() as cursor:
                settle_files(cursor, self.landing, [file_id for file_id, _, _ in poison])


def note_failure(dsn: str, query: str, epoch: int, error: str) -> None:
    """Count a failed batch against its files (role ingest); ``error`` is kept for the person who finds the file."""
    with transaction(dsn) as cursor:
        hold_epoch(cursor, query, epoch)
        cursor.execute(_SQL["note_failure"], {"error": error})


def _storable(name: str) -> str:
    """A file name as text: bytes that are not UTF-8 are escaped."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
