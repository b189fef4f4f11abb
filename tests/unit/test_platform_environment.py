"""Tests of the programs' environment: it carries all settings and no foreign variables."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from include.platform.instance.environment import (
    airflow_environment,
    base_environment,
    settings_environment,
    spark_environment,
)
from include.platform.instance.secrets import admin_password, airflow_secrets
from include.platform.services.postgres import ensure_passwords
from include.settings import PREFIX, REPOSITORY, ROLES, Settings


def test_settings_survive_the_transfer_to_another_process() -> None:
    settings = Settings(home=Path("/srv/shop"), port=9000, trigger_seconds=0.5, landing=Path("/data/in"))
    assert Settings.from_env(settings_environment(settings)) == settings


def test_home_is_made_absolute() -> None:
    environment = settings_environment(Settings(home=Path("state")))
    assert environment["SHOPSTREAM_HOME"] == str(Path.cwd() / "state")


def test_variables_of_other_tools_are_not_inherited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = {
        "AIRFLOW_HOME": "/elsewhere",
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql://production",
        "SPARK_HOME": "/opt/spark",
        "PYTHONPATH": "/elsewhere",
        "PGPASSWORD": "secret",
        "JAVA_TOOL_OPTIONS": "-Xmx1m",
        "SHOPSTREAM_PORT": "1",
    }
    for name, value in foreign.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LANG", "fr_FR.UTF-8")
    settings = Settings(home=tmp_path)
    for build in (base_environment, spark_environment, airflow_environment):
        environment = build(settings)
        assert not {name for name, value in foreign.items() if environment.get(name) == value}
        assert environment["LANG"] == "fr_FR.UTF-8"
        assert environment["PYTHONPATH"] == str(REPOSITORY)


def test_no_program_inherits_the_users_locale_or_time_zone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The code recognizes system messages by their English text, and days are UTC days."""
    for name, value in {"LC_ALL": "xx_XX", "LC_NUMERIC": "de_DE.UTF-8", "TZ": "Asia/Kathmandu"}.items():
        monkeypatch.setenv(name, value)
    for build in (base_environment, spark_environment, airflow_environment):
        environment = build(Settings(home=tmp_path))
        assert (environment["LC_ALL"], environment["TZ"]) == ("C.UTF-8", "UTC")


def test_a_proxy_is_used_only_for_outside_hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.corp:3128")
    monkeypatch.setenv("http_proxy", "http://proxy.corp:3128")
    monkeypatch.setenv("NO_PROXY", "intranet.corp")
    settings = Settings(home=tmp_path)
    environment = airflow_environment(settings)
    code = (
        "import httpx, sys, urllib.request; from urllib.parse import urlsplit\n"
        "for url in sys.argv[1:]:\n"
        "    pool = httpx.Client()._transport_for_url(httpx.URL(url))._pool\n"
        "    print('Proxy' in type(pool).__name__, bool(urllib.request.proxy_bypass(urlsplit(url).hostname)))"
    )
    urls = ["http://intranet.corp/", "http://example.org/", environment["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"]]
    done = subprocess.run(
        [sys.executable, "-c", code, *urls, "http://localhost:1/"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == ["False True", "True False", "False True", "False True"]


def test_the_users_keys_do_not_reach_sparks_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of the user")
    monkeypatch.setenv("GITHUB_TOKEN", "of the user")
    monkeypatch.setenv("LC_NUMERIC", "C")
    environment = spark_environment(Settings(home=tmp_path))
    assert "of the user" not in environment.values()
    assert environment["LC_NUMERIC"] == "C"
    assert {"HOME", "JAVA_HOME", "PATH", "SPARK_HOME", "SHOPSTREAM_HOME", "PLATFORM_HOME"} <= set(environment)


def test_connections_from_the_environment_reach_airflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_MAIL", "smtp://localhost")
    assert airflow_environment(Settings(home=tmp_path))["AIRFLOW_CONN_MAIL"] == "smtp://localhost"


def test_airflow_exports_telemetry_only_to_a_configured_endpoint(tmp_path: Path) -> None:
    silent = airflow_environment(Settings(home=tmp_path))
    assert silent["AIRFLOW__METRICS__OTEL_ON"] == silent["AIRFLOW__TRACES__OTEL_ON"] == "False"
    assert not [name for name in silent if name.startswith("OTEL_")]
    environment = airflow_environment(Settings(home=tmp_path, otlp_endpoint="http://collector:4318"))
    assert environment["AIRFLOW__METRICS__OTEL_ON"] == environment["AIRFLOW__TRACES__OTEL_ON"] == "True"
    assert environment["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://collector:4318"


def test_airflow_uses_the_log_format_of_the_platform(tmp_path: Path) -> None:
    assert airflow_environment(Settings(home=tmp_path))["AIRFLOW__LOGGING__JSON_LOGS"] == "False"
    assert airflow_environment(Settings(home=tmp_path, log_format="json"))["AIRFLOW__LOGGING__JSON_LOGS"] == "True"


def test_airflow_keys_are_created_once_and_private(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    first, second = airflow_environment(settings), airflow_environment(settings)
    for name in ("AIRFLOW__CORE__FERNET_KEY", "AIRFLOW__API__SECRET_KEY", "AIRFLOW__API_AUTH__JWT_SECRET"):
        keys = [subprocess.check_output(shlex.split(one[f"{name}_CMD"]), text=True) for one in (first, second)]
        assert len(keys[0].strip()) >= 32
        assert keys[0] == keys[1]
    assert {path.stat().st_mode & 0o777 for path in settings.secrets_dir.iterdir()} == {0o600}
    assert settings.secrets_dir.stat().st_mode & 0o777 == 0o700


def test_no_secret_is_in_any_environment(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    words = set(ensure_passwords(settings.passfile).values()) | {admin_password(settings)}
    words |= {path.read_text().strip() for path in airflow_secrets(settings).values()}
    assert len(words) == len(ROLES) + 4
    for build in (base_environment, spark_environment, airflow_environment):
        assert not [name for name, value in build(settings).items() if any(word in value for word in words)]


def test_addresses_of_other_machines_come_from_the_settings(tmp_path: Path) -> None:
    settings = Settings(
        home=tmp_path,
        bind_host="0.0.0.0",
        airflow_host="airflow.internal",
        public_url="https://shop.example",
        database_host="db.internal",
        database_sslmode="verify-full",
        database_sslrootcert=Path("/etc/ca.crt"),
        executor="CeleryExecutor",
        dags_start_paused=False,
    )
    environment = airflow_environment(settings)
    assert environment["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://airflow.internal:8080/execution/"
    assert environment["AIRFLOW__API__BASE_URL"] == "https://shop.example"
    assert environment["AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION"] == "False"
    assert environment["AIRFLOW__CELERY__BROKER_URL_CMD"] == f"cat {tmp_path}/secrets/broker-url"
    # The timeout is longer than the longest try of any task.
    assert int(environment["AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT"]) > 7 * 86400
    assert "sslmode=verify-full" in environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
    assert environment["PGSSLROOTCERT"] == "/etc/ca.crt"
    # Spark finds the address of this machine itself.
    assert "SPARK_LOCAL_IP" not in spark_environment(settings)


def test_services_use_only_loopback_addresses_by_default(tmp_path: Path) -> None:
    environment = airflow_environment(Settings(home=tmp_path, port=9000))
    assert environment["AIRFLOW__API__BASE_URL"] == "http://127.0.0.1:9000"
    assert spark_environment(Settings(home=tmp_path))["SPARK_LOCAL_IP"] == "127.0.0.1"
    assert all(name.isupper() for name in environment if name.startswith(PREFIX))
