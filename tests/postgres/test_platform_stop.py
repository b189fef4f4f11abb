"""Tests of the steps before PostgreSQL is stopped, and of how a killed server is recognized."""

from __future__ import annotations

import io
import signal
import subprocess

from rich.console import Console

from include.db import transaction
from include.platform.commands.down import Shutdown
from include.platform.commands.report import Report
from include.platform.services import postgres
from include.settings import Settings
from tests.support.postgres import running_cluster
from tests.support.waiting import wait_until


def test_a_checkpoint_is_written(database: Settings) -> None:
    def redo() -> str:
        with transaction(database.dsn("owner")) as cursor:
            cursor.execute("SELECT redo_lsn::text FROM pg_control_checkpoint()")
            (position,) = cursor.fetchone()
        return str(position)

    with transaction(database.dsn("owner")) as cursor:
        cursor.execute("CREATE TABLE shop.written AS SELECT generate_series(1, 1000) AS number")
    before = redo()
    assert postgres.checkpoint(database)
    assert redo() != before


def test_a_killed_server_is_distinguished_from_one_that_shut_down() -> None:
    with running_cluster() as settings:
        assert postgres.was_killed(settings), "a running server has not shut down cleanly"
        pid = int((postgres.data_dir(settings) / "postmaster.pid").read_text().splitlines()[0])
        subprocess.run(["kill", f"-{int(signal.SIGINT)}", str(pid)], check=True)
        wait_until(lambda: not postgres.was_killed(settings), seconds=30, what="the server to shut down cleanly")
        assert not postgres.checkpoint(settings)


def test_a_schema_of_another_version_does_not_prevent_a_stop(database: Settings) -> None:
    output = io.StringIO()
    shutdown = Shutdown(database, Report(Console(file=output)))
    assert shutdown._postgres_answers()
    with transaction(database.dsn("owner")) as cursor:
        cursor.execute("ALTER TABLE shop.runs RENAME TO runs_of_another_version")
    assert not shutdown._postgres_answers()
    assert "cannot be drained" in output.getvalue()
