"""Tests of what a container needs to start, and of the errors when it is missing."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from include.errors import PlatformError
from include.platform.instance.secrets import AIRFLOW_FILES, airflow_secrets
from include.platform.programs import container
from include.platform.programs.container import EXIT_CONFIGURATION, check, main
from include.platform.programs.preflight import check_secrets
from include.platform.services.spark import check_version
from include.settings import Settings
from tests.support.http import answering
from tests.support.sockets import free_ports

_NO_DRIVER = "/v1/submissions/status/none"


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """Return a directory with every secret that Airflow needs."""
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    for name in AIRFLOW_FILES:
        (secrets / name).write_text("x\n")
    lines = [f"*:*:*:shop_{role}:secret" for role in ("airflow", "owner", "ops", "quality", "ingest")]
    (secrets / "pgpass").write_text("\n".join(lines) + "\n")
    (secrets / "pgpass").chmod(0o600)
    return secrets


def test_complete_secrets_are_accepted(secrets: Path) -> None:
    check_secrets(Settings(secrets=secrets), AIRFLOW_FILES, ["shop_owner"])


@pytest.mark.parametrize(
    ("corrupt", "message"),
    [
        (lambda path: (path / "fernet-key").unlink(), "fernet-key is missing"),
        (lambda path: (path / "jwt-secret").write_text("\n"), "jwt-secret is empty"),
        (lambda path: (path / "pgpass").unlink(), "pgpass is missing"),
        (lambda path: (path / "pgpass").chmod(0o644), "is open to others, so libpq does not use it: chmod 600"),
        (lambda path: (path / "pgpass").write_text("*:*:*:shop_ops:x\n"), "has no password of shop_owner"),
    ],
    ids=["missing", "empty", "no passwords", "open", "no role"],
)
def test_wrong_secrets_are_refused(secrets: Path, corrupt: Callable[[Path], object], message: str) -> None:
    corrupt(secrets)
    with pytest.raises(PlatformError, match=f"{message}(.|\n)*make docker-secrets"):
        check_secrets(Settings(secrets=secrets), AIRFLOW_FILES, ["shop_owner"])


def test_all_missing_secrets_are_reported_at_once(tmp_path: Path) -> None:
    with pytest.raises(PlatformError) as caught:
        check_secrets(Settings(secrets=tmp_path), AIRFLOW_FILES, ["shop_owner"])
    assert str(caught.value).count("is missing\n") == len(AIRFLOW_FILES)
    assert "pgpass is missing" in str(caught.value)


def test_keys_are_not_created_where_secrets_are_provided(tmp_path: Path) -> None:
    provided = tmp_path / "not-a-directory"
    provided.write_text("")
    with pytest.raises(PlatformError, match="is missing or not readable by this process"):
        airflow_secrets(Settings(secrets=provided))


def test_celery_needs_its_broker(secrets: Path, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, secrets=secrets, executor="CeleryExecutor", airflow_host="api-server")
    with pytest.raises(PlatformError, match="broker-url is missing"):
        check(settings, "scheduler", "airflow")


def test_a_program_without_its_secrets_is_not_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SHOPSTREAM_HOME", str(tmp_path))
    monkeypatch.setenv("SHOPSTREAM_SECRETS", str(tmp_path / "nowhere"))
    assert main(["scheduler"]) == EXIT_CONFIGURATION
    assert "nothing has been started, secrets are missing" in capsys.readouterr().err


def test_a_volume_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SHOPSTREAM_HOME", str(tmp_path))
    monkeypatch.setenv("SHOPSTREAM_LANDING", "/proc/landing")
    assert main(["spark-master"]) == EXIT_CONFIGURATION
    assert "/proc/landing cannot be created: No such file or directory. Mount a volume there" in capsys.readouterr().err


def test_a_wrong_setting_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("SHOPSTREAM_DATABASE_SSLMODE", "verify-full")
    monkeypatch.setenv("SHOPSTREAM_DATABASE_HOST", "db.example")
    assert main(["prepare"]) == EXIT_CONFIGURATION
    assert "set SHOPSTREAM_DATABASE_SSLROOTCERT" in capsys.readouterr().err


def test_a_master_of_the_same_version_is_accepted() -> None:
    with answering({_NO_DRIVER: (200, {"serverSparkVersion": version("pyspark"), "success": False})}) as port:
        check_version("127.0.0.1", port)


@pytest.mark.parametrize("status", [200, 468])
def test_a_master_of_another_version_is_refused(status: int) -> None:
    refused = pytest.raises(PlatformError, match=r"version 3\.5\.7, but pyspark .* is installed here.*the same image")
    with answering({_NO_DRIVER: (status, {"serverSparkVersion": "3.5.7"})}) as port, refused:
        check_version("127.0.0.1", port)


def test_a_server_that_is_not_a_master_is_refused() -> None:
    with answering({}) as port, pytest.raises(PlatformError, match="is version None"):
        check_version("127.0.0.1", port)


def test_a_worker_without_its_master_is_not_started(
    secrets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (port,) = free_ports(1)
    monkeypatch.setattr(container, "prepare_java", lambda settings: "25")
    for name, value in {"HOME": tmp_path, "SECRETS": secrets, "SPARK_REST_PORT": port}.items():
        monkeypatch.setenv(f"SHOPSTREAM_{name}", str(value))
    assert main(["spark-worker"]) == EXIT_CONFIGURATION
    output = capsys.readouterr().err
    assert f"the Spark master cannot be reached at 127.0.0.1, REST port {port}" in output
    assert "correct SHOPSTREAM_SPARK_HOST" in output
