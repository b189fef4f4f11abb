"""Tests of the settings: all faults are reported at once, and other values follow from the given ones."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from include.errors import SettingsError
from include.settings import ROLES, Role, Settings


def test_defaults_need_no_environment() -> None:
    settings = Settings.from_env({"PATH": "/bin"})
    assert settings.port == 8080
    assert settings.home == Path(".shopstream")


def test_every_fault_is_reported_at_once() -> None:
    environ = {
        "SHOPSTREAM_PORT": "eighty",
        "SHOPSTREAM_RETENTION_DAYS": "0",
        "SHOPSTREAM_DATABASE_NAME": "Shop; DROP",
        "SHOPSTREAM_TRIGER_SECONDS": "1",
    }
    with pytest.raises(SettingsError) as caught:
        Settings.from_env(environ)
    message = str(caught.value)
    assert message.startswith("4 settings are wrong")
    for name, value in environ.items():
        assert name in message
        assert name == "SHOPSTREAM_TRIGER_SECONDS" or repr(value) in message
    assert "did you mean SHOPSTREAM_TRIGGER_SECONDS?" in message


def test_unknown_variable_without_a_near_name_is_to_be_removed() -> None:
    with pytest.raises(SettingsError, match="SHOPSTREAM_XYZZY is not a setting; remove it"):
        Settings.from_env({"SHOPSTREAM_XYZZY": "1"})


def test_empty_variable_means_the_default() -> None:
    assert Settings.from_env({"SHOPSTREAM_PORT": "", "SHOPSTREAM_JAVA_HOME": ""}) == Settings()


def test_ports_follow_the_first_and_can_be_set_individually() -> None:
    ports = Settings(port=9000, spark_rest_port=9999).ports
    assert ports["airflow"] == 9000
    assert ports["spark-master"] == 9001
    assert ports["spark-rest"] == 9999
    assert len(set(ports.values())) == len(ports)


def test_two_services_on_one_port_are_refused() -> None:
    with pytest.raises(SettingsError, match="share a port"):
        Settings.from_env({"SHOPSTREAM_PORT": "9000", "SHOPSTREAM_SPARK_REST_PORT": "9000"})


def test_a_ledger_retention_below_that_of_events_is_refused() -> None:
    with pytest.raises(SettingsError, match="set SHOPSTREAM_LEDGER_DAYS to 60 or more"):
        Settings.from_env({"SHOPSTREAM_RETENTION_DAYS": "60"})
    assert Settings.from_env({"SHOPSTREAM_RETENTION_DAYS": "60", "SHOPSTREAM_LEDGER_DAYS": "60"}).ledger_days == 60


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"DATABASE_SSLMODE": "verify-full"}, "a socket on this machine has none; set SHOPSTREAM_DATABASE_HOST"),
        (
            {"DATABASE_SSLMODE": "require", "DATABASE_HOST": "/run/postgresql"},
            "a socket on this machine has none; set SHOPSTREAM_DATABASE_HOST",
        ),
        (
            {"DATABASE_SSLMODE": "verify-full", "DATABASE_HOST": "db.example"},
            "set SHOPSTREAM_DATABASE_SSLROOTCERT to its certificate",
        ),
        (
            {"DATABASE_SSLMODE": "require", "DATABASE_HOST": "db.example", "DATABASE_SSLROOTCERT": "/ca.crt"},
            "database_sslmode=require does not check it; set SHOPSTREAM_DATABASE_SSLMODE to verify-full",
        ),
        ({"EXECUTOR": "CeleryExecutor"}, "set SHOPSTREAM_AIRFLOW_HOST to a name that they can resolve"),
        ({"EXECUTOR": "KubernetesExecutor", "AIRFLOW_HOST": "localhost"}, "cannot reach airflow_host=localhost"),
        ({"EXECUTOR": "SequentialExecutor"}, "SHOPSTREAM_EXECUTOR='SequentialExecutor'"),
        ({"PUBLIC_URL": "shop.example"}, "SHOPSTREAM_PUBLIC_URL='shop.example'"),
        ({"SPARK_WORKER_MEMORY": "4 GB"}, "SHOPSTREAM_SPARK_WORKER_MEMORY='4 GB'"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(given: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(message)):
        Settings.from_env({f"SHOPSTREAM_{name}": value for name, value in given.items()})


def test_secrets_can_lie_elsewhere() -> None:
    settings = Settings.from_env({"SHOPSTREAM_SECRETS": "/run/secrets"})
    assert settings.passfile == Path("/run/secrets/pgpass")
    assert "passfile=%2Frun%2Fsecrets%2Fpgpass" in settings.dsn("owner")


def test_a_remote_server_is_verified_by_its_certificate_authority() -> None:
    settings = Settings(
        database_host="db.example", database_sslmode="verify-full", database_sslrootcert=Path("/etc/shop/ca.crt")
    )
    dsn = settings.dsn("owner")
    assert "sslmode=verify-full" in dsn
    assert "sslrootcert=%2Fetc%2Fshop%2Fca.crt" in dsn


def test_socket_directory_is_inside_home_unless_the_path_is_too_long(tmp_path: Path) -> None:
    assert Settings(home=Path("/srv/shop")).socket_dir == Path("/srv/shop/run")
    deep = Settings(home=tmp_path / ("a" * 90))
    assert len(str(deep.socket_dir / ".s.PGSQL.65535")) <= 107
    assert deep.socket_dir != Settings(home=tmp_path / ("b" * 90)).socket_dir


def test_folders_of_files_lie_beside_the_landing_folder() -> None:
    settings = Settings(home=Path("/srv/shop"), landing=Path("/data/in"))
    folders = {settings.admitted_dir, settings.archive_dir, settings.quarantine_dir, settings.manifest_dir}
    assert len(folders) == 4
    assert {folder.parent for folder in folders} == {Path("/data")}


@pytest.mark.parametrize("role", ROLES)
def test_connection_string_names_the_role_and_holds_no_password(role: Role) -> None:
    dsn = Settings(home=Path("/srv/a shop")).dsn(role)
    assert dsn.startswith(f"postgresql://shop_{role}@/shop?")
    assert "host=%2Fsrv%2Fa%20shop%2Frun" in dsn
    assert "passfile=%2Fsrv%2Fa%20shop%2Fsecrets%2Fpgpass" in dsn
