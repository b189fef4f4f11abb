"""Lint the shell scripts and the image of docker/kubernetes, and run the scripts with the real tools that they call."""

from __future__ import annotations

import base64
import os
import stat
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import psycopg2.extensions
import pytest
import yaml

from include.settings import REPOSITORY, ROLES
from tests.support.manifests import FOLDER, VERSIONS

_PROGRAMS = Path(sys.executable).parent


@pytest.mark.parametrize("name", ["entrypoint.sh", "secrets.sh"])
def test_a_script_is_clean(name: str) -> None:
    done = subprocess.run([_PROGRAMS / "shellcheck", FOLDER / name], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert os.access(FOLDER / name, os.X_OK)


def test_the_dockerfile_is_clean() -> None:
    done = subprocess.run([_PROGRAMS / "hadolint", FOLDER / "Dockerfile"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_no_package_of_the_image_has_two_versions() -> None:
    def pins(path: Path) -> dict[str, str]:
        lines = [line.split()[0] for line in path.read_text(encoding="utf-8").splitlines() if line[:1].isalnum()]
        return dict(line.split("==") for line in lines)

    base, added = pins(REPOSITORY / "requirements.txt"), pins(FOLDER / "requirements.txt")
    assert {name: (base[name], version) for name, version in added.items() if base.get(name, version) != version} == {}
    assert "apache-airflow-providers-cncf-kubernetes" in added


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """Return a directory like the one that docker/secrets.sh creates."""
    for name in ("postgres-password", "fernet-key", "api-secret-key", "jwt-secret", "admin-password"):
        (tmp_path / name).write_text(f"the {name}\n")
    for name, roles in {
        "prepare": ROLES,
        "airflow": ("airflow", "owner", "ops", "quality"),
        "spark": ("ingest",),
    }.items():
        lines = [f"*:*:*:shop_{role}:pass-{role}\n" for role in roles]
        (tmp_path / f"pgpass-{name}").write_text("".join(lines))
    return tmp_path


def _secrets_of(directory: Path) -> dict[str, dict[str, str]]:
    done = subprocess.run([FOLDER / "secrets.sh", directory], capture_output=True, text=True, check=True)
    documents = [one for one in yaml.safe_load_all(done.stdout) if one]
    for document in documents:
        kubernetes_validate.validate(document, VERSIONS[-1], strict=True)
    return {
        one["metadata"]["name"]: {key: base64.b64decode(value).decode() for key, value in one["data"].items()}
        for one in documents
    }


def test_secrets_have_the_form_that_their_readers_expect(secrets: Path) -> None:
    made = _secrets_of(secrets)
    # The operator compares passwords literally, including a line end.
    assert made["shopstream-postgres"] == {"username": "postgres", "password": "the postgres-password"}
    assert made["shopstream-airflow"]["fernet-key"] == "the fernet-key"
    for key, driver in (("connection", "psycopg2"), ("connection-async", "asyncpg")):
        url = made["shopstream-airflow"][key]
        assert url.startswith(f"postgresql+{driver}://shop_airflow:pass-airflow@shopstream-db-rw:5432/airflow?")
        assert "verify-full" in url
    url = made["shopstream-airflow"]["connection"].replace("+psycopg2", "")
    assert psycopg2.extensions.parse_dsn(url)["sslmode"] == "verify-full"


def test_no_pod_gets_a_password_that_it_does_not_need(secrets: Path) -> None:
    made = _secrets_of(secrets)
    assert made["shopstream-driver"] == {"pgpass": "*:*:*:shop_ingest:pass-ingest\n"}
    assert "shop_ingest" not in made["shopstream-roles"]["pgpass"]
    assert {name for name, one in made.items() if "admin-password" in one} == {"shopstream-prepare"}


def test_a_missing_secret_is_named_with_its_remedy(secrets: Path) -> None:
    (secrets / "jwt-secret").unlink()
    done = subprocess.run([FOLDER / "secrets.sh", secrets], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "jwt-secret is missing. Run docker/secrets.sh" in done.stderr


@pytest.fixture
def pod(tmp_path: Path) -> dict[str, str]:
    """Return the environment of a container whose fake Spark and Java record how they were called."""
    program = '#!/bin/sh\npwd >"$CALLS"\nfor one; do echo "$one" >>"$CALLS"; done\n'
    for path in (tmp_path / "spark" / "bin" / "spark-submit", tmp_path / "java" / "bin" / "java"):
        path.parent.mkdir(parents=True)
        path.write_text(program)
        path.chmod(0o755)
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    (mounted / "pgpass").write_text("*:*:*:shop_ingest:pass\n")
    (mounted / "pgpass").chmod(0o640)
    return {
        "PATH": os.environ["PATH"],
        "CALLS": str(tmp_path / "calls"),
        "SPARK_HOME": str(tmp_path / "spark"),
        "JAVA_HOME": str(tmp_path / "java"),
        "SHOPSTREAM_HOME": str(tmp_path / "home"),
        "SHOPSTREAM_MOUNTED_SECRETS": str(mounted),
        "SHOPSTREAM_SECRETS": str(tmp_path / "secrets"),
    }


def _called(pod: dict[str, str], *arguments: str) -> tuple[str, list[str]]:
    """Return the working directory and the arguments of the program that the entry point executes."""
    done = subprocess.run([FOLDER / "entrypoint.sh", *arguments], env=pod, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    directory, *called = Path(pod["CALLS"]).read_text().splitlines()
    return directory, called


def test_a_driver_is_submitted_in_a_directory_named_after_its_pod(pod: dict[str, str]) -> None:
    directory, called = _called(
        {**pod, "SPARK_DRIVER_BIND_ADDRESS": "10.0.0.7"}, "driver", "--class", "x", "local:///job.py", "--mode", "drain"
    )
    assert directory == f"{pod['SHOPSTREAM_HOME']}/work/{os.uname().nodename}"
    assert called == [
        *("--conf", "spark.driver.bindAddress=10.0.0.7", "--deploy-mode", "client"),
        *("--class", "x", "local:///job.py", "--mode", "drain"),
    ]


def test_an_executor_gets_all_values_from_its_environment(pod: dict[str, str]) -> None:
    values = {
        "SPARK_JAVA_OPT_0": "-Done=a b",
        "SPARK_JAVA_OPT_1": "-Dtwo",
        "SPARK_EXECUTOR_MEMORY": "1024m",
        "SPARK_DRIVER_URL": "spark://driver:7078",
        "SPARK_EXECUTOR_ID": "3",
        "SPARK_EXECUTOR_CORES": "2",
        "SPARK_APPLICATION_ID": "spark-1",
        "SPARK_EXECUTOR_POD_IP": "10.0.0.8",
        "SPARK_RESOURCE_PROFILE_ID": "0",
        "SPARK_EXECUTOR_POD_NAME": "exec-3",
    }
    _, called = _called({**pod, **values}, "executor")
    assert called[:4] == ["-Done=a b", "-Dtwo", "-Xms1024m", "-Xmx1024m"]
    assert called[5].endswith("/spark/jars/*")
    arguments = dict(zip(called[7::2], called[8::2], strict=True))
    assert called[6].endswith(".KubernetesExecutorBackend")
    assert arguments == {
        "--driver-url": "spark://driver:7078",
        "--executor-id": "3",
        "--cores": "2",
        "--app-id": "spark-1",
        "--hostname": "10.0.0.8",
        "--resourceProfileId": "0",
        "--podName": "exec-3",
    }


def test_a_password_file_gets_the_mode_that_libpq_requires(pod: dict[str, str]) -> None:
    done = subprocess.run([FOLDER / "entrypoint.sh", "echo", "as it is"], env=pod, capture_output=True, text=True)
    assert done.stdout == "as it is\n"
    assert stat.S_IMODE((Path(pod["SHOPSTREAM_SECRETS"]) / "pgpass").stat().st_mode) == 0o600
