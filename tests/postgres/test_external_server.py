"""Tests of a platform on an external PostgreSQL, which it migrates and uses but never starts or stops."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from include.db import transaction
from include.errors import PlatformError
from include.platform.commands.down import Shutdown
from include.platform.commands.report import Report
from include.platform.commands.up import Startup
from include.platform.programs.supervisor import Supervisor
from include.platform.services.connections import airflow_connections
from include.settings import Settings
from tests.support.platform import Platform
from tests.support.postgres import temporary_home


def test_up_and_down_on_an_external_server(cluster: Settings) -> None:
    with temporary_home() as home:
        settings = Platform(home).settings.model_copy(update={"database_host": str(cluster.socket_dir)})
        settings.secrets_dir.mkdir(mode=0o700)
        shutil.copy(cluster.passfile, settings.passfile)
        output = io.StringIO()
        report = Report(Console(file=output, width=1000))

        Startup(settings, report, services=["postgres"]).run()
        try:
            # Programs of root read files that others deliver, so the start warns root.
            assert ("You are root" in output.getvalue()) == (os.geteuid() == 0)
            assert "postgres" not in Supervisor(settings).states()
            with transaction(settings.dsn("owner")) as cursor:
                cursor.execute("SELECT desired_state FROM shop.stream_control")
                assert cursor.fetchone() == ("run",)
            with transaction(settings.dsn("airflow", "airflow")) as cursor:
                cursor.execute("SELECT conn_id FROM connection ORDER BY conn_id")
                expected = sorted(one["conn_id"] for one in airflow_connections(settings))
                assert [conn_id for (conn_id,) in cursor] == expected
                cursor.execute("SELECT username FROM ab_user")
                assert cursor.fetchall() == [("admin",)]
        finally:
            assert Shutdown(settings, report).run()
        assert not Supervisor(settings).is_up
        with transaction(settings.dsn("owner")) as cursor:
            cursor.execute("SELECT 1")


@pytest.mark.parametrize(
    ("corrupt", "message"),
    [
        (lambda passfile: passfile.unlink(), "pgpass is missing"),
        (lambda passfile: passfile.chmod(0o644), "is open to others"),
        (lambda passfile: passfile.write_text(passfile.read_text().replace("shop_ops", "shop_other")), "of shop_ops"),
        (
            lambda passfile: passfile.write_text(passfile.read_text().replace("shop_owner:", "shop_owner:not")),
            "set the role's password to the one in the file",
        ),
    ],
    ids=["missing", "open", "no role", "wrong"],
)
def test_an_external_server_that_cannot_be_used_is_refused(
    cluster: Settings, corrupt: Callable[[Path], object], message: str
) -> None:
    with temporary_home() as home:
        settings = Platform(home).settings.model_copy(update={"database_host": str(cluster.socket_dir)})
        settings.secrets_dir.mkdir(mode=0o700)
        shutil.copy(cluster.passfile, settings.passfile)
        corrupt(settings.passfile)
        with pytest.raises(PlatformError, match=message):
            Startup(settings, Report(Console(file=io.StringIO())), services=["postgres"]).run()
        assert not Supervisor(settings).is_up
