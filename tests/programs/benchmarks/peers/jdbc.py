"""Spark's built-in way into Postgres: a JDBC append with ``reWriteBatchedInserts``."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import AF_UNIX, SHUT_WR, socket

from include.contract import COLUMN_NAMES
from include.db import transaction
from include.platform.instance.environment import spark_environment
from include.platform.services import postgres
from tests.programs.benchmarks.bench import COPY_DATABASE, Bench
from tests.programs.benchmarks.peers import Peer

JAR = Path("/usr/share/java/postgresql.jar")
_SCRIPT = Path(__file__).with_name("jdbc_append.py")
_TIMEOUT_SECONDS = 600
_CHUNK = 1 << 18


def peer() -> Peer:
    """Return JDBC, if Debian's jar is installed."""
    absent = "" if JAR.exists() else f"{JAR} is missing: apt-get install libpostgresql-jdbc-java"
    return Peer("Spark JDBC", absent, _rows_per_second)


def _rows_per_second(bench: Bench) -> float:
    """Time the append alone, in a session that has appended before, into ``shop.events`` as ``\\copy`` has it."""
    settings = bench.instance.settings
    rows = bench.sizes.peer_rows
    file, first = bench.clean_file(rows), bench.clean_file(1000)
    with transaction(settings.dsn("owner", COPY_DATABASE)) as cursor:
        cursor.execute("TRUNCATE shop.events")
    with _tcp(settings.socket_dir / f".s.PGSQL.{settings.database_port}") as port:
        options = {
            "driver": "org.postgresql.Driver",
            "url": f"jdbc:postgresql://127.0.0.1:{port}/{COPY_DATABASE}"
            "?reWriteBatchedInserts=true&stringtype=unspecified",
            "dbtable": "shop.events",
            "user": "shop_owner",
            "password": postgres.ensure_passwords(settings.passfile)["shop_owner"],
            "batchsize": "10000",
        }
        done = subprocess.run(
            [sys.executable, _SCRIPT, JAR, first, file, json.dumps(options), *COLUMN_NAMES],
            env=dict(spark_environment(settings)),
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
        )
    if done.returncode:
        raise RuntimeError(f"the JDBC append failed: {done.stderr[-2000:]}")
    return rows / float(done.stdout.split()[-1])


@contextmanager
def _tcp(path: Path) -> Iterator[int]:
    """Yield a loopback port for the server's socket, since JDBC needs TCP."""
    with socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def serve() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                server = socket(AF_UNIX)
                server.connect(str(path))
                for source, target in ((client, server), (server, client)):
                    threading.Thread(target=_pump, args=(source, target), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]


def _pump(source: socket, target: socket) -> None:
    while chunk := source.recv(_CHUNK):
        target.sendall(chunk)
    target.shutdown(SHUT_WR)
