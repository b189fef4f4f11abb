"""``python -m tests.programs.benchmarks.months``: what a month of ledger costs the stream.

Two databases on one server, one with an empty ledger and one with as many files and batches as a file a second makes in
a month. The same work is done in both by turns: admit a file and plan its batch, load that batch, ask for the status;
and at the end, the maintenance of an hour. Prints the medians and their ratio.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from include.db import connect, transaction
from include.db.connect import one_row
from include.db.retirement import retire_ledger
from include.settings import Settings
from include.stream.intake.admission import Admission
from include.stream.intake.landing import Landing
from include.stream.storage.sink import BatchSink
from include.stream.supervision.status import stream_status
from tests.support.csv_files import csv_text, deliver, valid_row
from tests.support.postgres import cloned_database, running_cluster
from tests.support.stream import admission_of, next_epoch
from tests.support.validated import batch, footer, typed_row

MONTH_OF_FILES = 30 * 86_400

_FILL = """
INSERT INTO shop.batches (
    query, epoch, spark_batch_id, files, read, accepted, duplicate, rejected, min_event_time, max_event_time,
    oldest_arrival, started_at, committed_at, lag_seconds, durations_ms
)
SELECT 'events', 0, second, 1, 100, 99, 1, 0, at, at, at, at, at, 0.5, '{"sink": 20.1, "split": 1.1, "events": 10.2}'
FROM generate_series(1, %(files)s) AS second
CROSS JOIN LATERAL (SELECT now() - make_interval(secs => %(files)s - second)) AS moment (at);

INSERT INTO shop.files (
    name, state, size_bytes, arrived_at, admitted_at, finished_at, batch_id, read, accepted, duplicate, slices, digest
)
SELECT
    format('events-%%s.csv', batch_id), 'loaded', 17200, started_at, started_at, committed_at, batch_id, 100, 99, 1, 1,
    encode(sha256(batch_id::text::bytea), 'hex')
FROM shop.batches
ORDER BY batch_id;

INSERT INTO shop.rollup_minute (minute, event_type, category, currency, events, quantity, amount, batch_id)
SELECT minute, event_type, 'Sports', 'EUR', 1, 1, 1, 1
FROM generate_series(now() - make_interval(secs => %(files)s), now(), interval '1 minute') AS minute
CROSS JOIN unnest(ARRAY['view', 'order', 'purchase']) AS event_type;
"""


@dataclass
class Stream:
    """The stream on one database, without Spark, and the time of its steps; seconds by step."""

    name: str
    settings: Settings
    admission: Admission
    sink: BatchSink
    batches: int = 0
    took: dict[str, list[float]] = field(default_factory=dict)

    def turn(self) -> None:
        """Load one file from the landing folder into Postgres, and read the status."""
        deliver(self.settings.landing_dir, csv_text([valid_row()]))
        with self._timed("admit a file and plan its batch"):
            (file,) = self.admission.next_batch()
        flagged = batch(typed_row(file.file_id, 2), footer(file.file_id, 1, digest="0" * 64))
        with self._timed("load the batch"):
            self.sink.write(flagged, spark_batch_id=self.batches)
        with self._timed("look for files when there are none"):
            self.admission.next_batch()
        with self._timed("ask for the status"):
            stream_status(self.settings.dsn("ops"))
        self.batches += 1

    def maintain(self) -> None:
        """Retire what is past its age; the history is a little longer than a month."""
        with self._timed("retire the ledger's oldest"):
            print(f"{self.name}: {retire_ledger(self.settings.dsn('owner'), ledger_days=30)}".replace("\n", "; "))

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.took.setdefault(step, []).append(time.perf_counter() - started)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=MONTH_OF_FILES + 3600, help="in the full ledger (%(default)s)")
    parser.add_argument("--turns", type=int, default=200, help="of each stream (%(default)s)")
    arguments = parser.parse_args(argv)
    with ExitStack() as stack:
        cluster = stack.enter_context(running_cluster())
        empty, full = (_stream(stack, cluster, name) for name in ("empty", "full"))
        _fill(full.settings, arguments.files)
        for _ in range(arguments.turns):
            for stream in (empty, full):
                stream.turn()
        for stream in (empty, full):
            stream.maintain()
    _show(empty, full, arguments.files)
    return 0


def _stream(stack: ExitStack, cluster: Settings, name: str) -> Stream:
    home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="shopstream-benchmark-")))
    settings = stack.enter_context(cloned_database(cluster, home / name))
    epoch = next_epoch(settings)
    admission = admission_of(settings, epoch)
    sink = BatchSink(settings.dsn("ingest"), Landing.of(settings), "events", epoch)
    closing: tuple[Callable[[], None], ...] = (admission.close, sink.close)
    for close in closing:
        stack.callback(close)
    return Stream(name, settings, admission, sink)


def _fill(settings: Settings, files: int) -> None:
    started = time.perf_counter()
    with transaction(settings.dsn("owner")) as cursor:
        cursor.execute(_FILL, {"files": files})
    connection = connect(settings.dsn("owner"), autocommit=True)
    try:
        with connection.cursor() as cursor:
            for table in ("files", "batches", "rollup_minute"):
                cursor.execute(f"VACUUM (ANALYZE) shop.{table}")
            cursor.execute("SELECT pg_database_size(current_database()) / 1024 / 1024")
            (mebibytes,) = one_row(cursor)
    finally:
        connection.close()
    print(f"full: {files:,} files and batches, {mebibytes:,} MiB, made in {time.perf_counter() - started:.0f} s")


def _show(empty: Stream, full: Stream, files: int) -> None:
    print(f"{'median of the step, milliseconds':42}{'empty':>10}{f'{files:,} files':>18}{'ratio':>8}")
    for step, seconds in empty.took.items():
        before, after = (1000 * statistics.median(one) for one in (seconds, full.took[step]))
        print(f"{step:42}{before:10.2f}{after:18.2f}{after / before:8.2f}")


if __name__ == "__main__":
    sys.exit(main())
