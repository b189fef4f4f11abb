"""Pathway: a stream that watches a folder of CSV files and writes them to Postgres."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

from include.contract import COLUMN_NAMES
from include.db import transaction
from include.platform.services import postgres
from include.settings import REPOSITORY
from tests.programs.benchmarks.bench import CLEAN, COPY_DATABASE, Bench
from tests.programs.benchmarks.peers import Peer
from tests.programs.chaos.waiting import wait_for

PYTHON = REPOSITORY / ".venv" / "peers" / "bin" / "python"
_SCRIPT = Path(__file__).with_name("pathway_stream.py")
_TIMEOUT_SECONDS = 600


def peer() -> Peer:
    """Return Pathway, if its virtual environment exists."""
    absent = "" if PYTHON.exists() else f"{PYTHON.relative_to(REPOSITORY)} is missing: `make bench` makes it"
    return Peer("Pathway", absent, _rows_per_second)


def _rows_per_second(bench: Bench) -> float:
    """Time from the first file's rename to the last row, into a table of Pathway's types with a primary key."""
    rows = bench.sizes.peer_rows
    files = bench.generated(rows, shares=CLEAN)
    # Load one small file first, so that a running stream is timed, as for Shopstream.
    first = bench.generated(1000, shares=CLEAN)
    folder = bench.home / "bench" / "pathway"
    folder.mkdir(exist_ok=True)
    owner = bench.instance.settings.dsn("owner", COPY_DATABASE)
    # Pathway writes text and has neither uuid nor numeric, so its table is the cheaper one.
    columns = ", ".join(f"{name} text" for name in COLUMN_NAMES if name != "event_id")
    with transaction(owner) as cursor:
        cursor.execute("DROP TABLE IF EXISTS shop.pathway")
        cursor.execute(f"CREATE TABLE shop.pathway (event_id text PRIMARY KEY, {columns}, time bigint, diff bigint)")

    def count() -> int:
        with transaction(owner) as cursor:
            cursor.execute("SELECT count(*) FROM shop.pathway")
            return int(cursor.fetchone()[0])

    with (bench.instance.settings.log_dir / "bench-pathway.log").open("ab") as log:
        # -P: this folder contains a module with the name of the package.
        process = subprocess.Popen(
            [PYTHON, "-P", _SCRIPT, folder, json.dumps(_connection(bench)), *COLUMN_NAMES], stdout=log, stderr=log
        )
        try:
            first[0].rename(folder / "first.csv")
            wait_for(lambda: count() == 1000, seconds=120, what="Pathway's first rows")
            began = time.monotonic()
            for file in files:
                file.rename(folder / file.name)
            # Counting costs time, so it may take a tenth of the time at most.
            while count() < rows + 1000:
                if time.monotonic() - began > _TIMEOUT_SECONDS:
                    raise TimeoutError(f"Pathway loaded {count():,} of {rows:,} rows in {_TIMEOUT_SECONDS} s")
                time.sleep(max(0.1, (time.monotonic() - began) / 20))
            return rows / (time.monotonic() - began)
        finally:
            process.terminate()
            process.wait(30)
            for file in folder.glob("*.csv"):
                file.unlink()


def _connection(bench: Bench) -> dict[str, str]:
    settings = bench.instance.settings
    return {
        "host": str(settings.socket_dir),
        "port": str(settings.database_port),
        "dbname": COPY_DATABASE,
        "user": "shop_owner",
        "password": postgres.ensure_passwords(settings.passfile)["shop_owner"],
    }
