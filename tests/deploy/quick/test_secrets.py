"""Test `make docker-secrets`: it creates the secrets that the containers need, and each gets only its own."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from include.platform.instance.secrets import AIRFLOW_FILES
from include.platform.programs import container
from include.platform.services.postgres import SUPERUSER, ensure_passwords
from include.settings import ROLES, Settings
from tests.support.compose import DOCKER, read_compose, read_environment

COMPOSE = read_compose()


def _make(directory: Path) -> Path:
    secrets = directory / "secrets"
    subprocess.run([DOCKER / "secrets.sh", secrets, directory / ".env"], check=True, capture_output=True)
    return secrets


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    return _make(tmp_path)


def test_every_secret_of_the_compose_file_is_created_and_private(secrets: Path) -> None:
    declared = {Path(one["file"]).name for one in COMPOSE["secrets"].values()}
    # pgpass holds all roles. The other password files are extracted from it, and no container gets it.
    assert {path.name for path in secrets.iterdir()} == {*declared, "pgpass"}
    assert {path.stat().st_mode & 0o777 for path in secrets.iterdir()} == {0o600}
    assert all(path.read_text().strip() for path in secrets.iterdir())
    assert secrets.stat().st_mode & 0o777 == 0o700


def test_secrets_belong_to_the_user_of_the_containers(secrets: Path, tmp_path: Path) -> None:
    knobs = read_environment(tmp_path / ".env")
    assert int(knobs["SHOPSTREAM_UID"]) > 0
    assert {(path.stat().st_uid, path.stat().st_gid) for path in secrets.iterdir()} == {
        (int(knobs["SHOPSTREAM_UID"]), int(knobs["SHOPSTREAM_GID"]))
    }


def test_a_second_run_changes_nothing(secrets: Path, tmp_path: Path) -> None:
    before = {path.name: path.read_text() for path in secrets.iterdir()}
    _make(tmp_path)
    assert {path.name: path.read_text() for path in secrets.iterdir()} == before


def test_a_missing_file_is_recreated_and_matches_the_rest(secrets: Path, tmp_path: Path) -> None:
    (secrets / "pgpass-airflow").unlink()
    _make(tmp_path)
    passwords = ensure_passwords(secrets / "pgpass-airflow")
    assert passwords.items() <= ensure_passwords(secrets / "pgpass-prepare").items()


def test_every_role_has_its_password_and_prepare_the_superuser(secrets: Path) -> None:
    assert set(ensure_passwords(secrets / "pgpass-prepare")) == {SUPERUSER, *(f"shop_{role}" for role in ROLES)}
    assert (
        ensure_passwords(secrets / "pgpass-prepare")[SUPERUSER] == (secrets / "postgres-password").read_text().strip()
    )


def test_a_service_has_the_passwords_of_its_roles_only(secrets: Path) -> None:
    assert set(ensure_passwords(secrets / "pgpass-spark")) == {"shop_ingest"}
    assert set(ensure_passwords(secrets / "pgpass-metrics")) == {"shop_ops"}
    assert set(ensure_passwords(secrets / "pgpass-pgadmin")) == {"shop_analyst"}
    assert set(ensure_passwords(secrets / "pgpass-airflow")) == {
        "shop_airflow",
        "shop_owner",
        "shop_ops",
        "shop_quality",
    }


def test_airflow_can_use_its_keys(secrets: Path) -> None:
    settings = Settings(secrets=secrets)
    key = Fernet((settings.secrets_dir / "fernet-key").read_bytes())
    assert key.decrypt(key.encrypt(b"x")) == b"x"
    assert len((secrets / "jwt-secret").read_text().strip()) >= 64
    assert (secrets / "broker-url").read_text().strip() == (
        f"redis://:{(secrets / 'redis-password').read_text().strip()}@redis:6379/0"
    )


@pytest.mark.parametrize(
    "name", ["prepare", "spark-worker", "spark-master", "scheduler", "celery-worker", "metrics", "watchdog"]
)
def test_a_service_gets_exactly_the_secrets_of_its_program(name: str) -> None:
    given = {one if isinstance(one, str) else one["target"] for one in COMPOSE["services"][name].get("secrets", [])}
    group = {"spark-worker": "spark-worker", "spark-master": "spark-master"}.get(name, "airflow")
    needs = container._NEEDS.get(name) or container._NEEDS[group]
    asked = {*needs.secrets, *(["pgpass"] if needs.roles else [])}
    if asked & set(AIRFLOW_FILES):
        asked.add("broker-url")
    assert given == asked
