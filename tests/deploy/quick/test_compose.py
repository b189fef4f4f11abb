"""Test docker/ without a container engine: the compose file, the images, the scripts, the variables of .env."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from include.platform.programs.container import CONTAINER_PROGRAMS
from include.platform.programs.health import CHECKS
from include.settings import PREFIX, REPOSITORY, Settings
from tests.support.compose import (
    COMPOSE_FILE,
    DOCKER,
    read_compose,
    read_dockerfile,
    read_environment,
    variables_of_compose,
)

KNOBS = read_environment(DOCKER / ".env.example")
SERVICES: dict[str, dict[str, Any]] = read_compose(KNOBS)["services"]
OURS = {name for name, service in SERVICES.items() if service["image"].startswith("shopstream/app")}
SCRIPTS = sorted(DOCKER.rglob("*.sh"))
DOCKERFILES = sorted(DOCKER.rglob("Dockerfile"))


def test_the_file_follows_the_compose_specification() -> None:
    schema = json.loads((REPOSITORY / "tests/deploy/compose-spec.json").read_text())
    validator = jsonschema.validators.validator_for(schema)(schema)
    faults = [f"{fault.json_path}: {fault.message}" for fault in validator.iter_errors(read_compose(KNOBS))]
    assert faults == []


def test_the_schema_would_find_a_fault() -> None:
    schema = json.loads((REPOSITORY / "tests/deploy/compose-spec.json").read_text())
    broken = read_compose(KNOBS)
    broken["services"]["postgres"]["healthchek"] = {}
    assert not jsonschema.validators.validator_for(schema)(schema).is_valid(broken)


def test_every_variable_of_env_example_is_used_and_none_is_missing() -> None:
    # Compose itself reads COMPOSE_PROFILES.
    assert variables_of_compose() == set(KNOBS) - {"COMPOSE_PROFILES"}


def test_an_omitted_variable_has_the_value_of_env_example() -> None:
    assert read_compose() == read_compose(KNOBS)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_hardened(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] or name == "pgadmin"
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
    assert service["restart"] == "unless-stopped" or name == "prepare"
    assert "healthcheck" in service or name == "prepare"
    assert service["networks"]


@pytest.mark.parametrize("name", SERVICES)
def test_an_image_has_an_exact_tag(name: str) -> None:
    _, _, tag = SERVICES[name]["image"].rpartition(":")
    assert re.search(r"\d+\.\d+", tag), tag


@pytest.mark.parametrize("name", SERVICES)
def test_no_container_runs_as_root(name: str) -> None:
    service = SERVICES[name]
    if "build" in service:
        dockerfile = REPOSITORY / service["build"]["dockerfile"]
        assert "\nUSER ${SHOPSTREAM_UID}:${SHOPSTREAM_GID}\n" in dockerfile.read_text()
    elif name == "prometheus":
        # The image runs as its own user nobody, and reads no secret.
        assert "user" not in service
    else:
        assert service["user"].split(":")[0] not in {"0", "root"}


def test_only_pages_are_published_and_only_on_loopback() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert set(published) == {"api-server", "spark-master", "grafana", "prometheus", "pgadmin", "mail"}
    assert all(len(ports) == 1 and ports[0].startswith("127.0.0.1:") for ports in published.values())


def test_no_secret_is_in_the_environment() -> None:
    for name, service in SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            is_a_file = variable.endswith(("_FILE", "SHOPSTREAM_SECRETS"))
            assert is_a_file or not re.search("PASSWORD|SECRET|TOKEN|KEY", variable), f"{name}: {variable}"
            assert "/run/secrets" not in str(value) or is_a_file


def test_a_spark_service_has_one_network() -> None:
    """Check it, because a service with several networks could announce an address that the others do not reach."""
    assert {tuple(SERVICES[name]["networks"]) for name in ("spark-master", "spark-worker")} == {("compute",)}


def test_services_that_communicate_share_a_network() -> None:
    def share(one: str, *others: str) -> bool:
        return all(set(SERVICES[one]["networks"]) & set(SERVICES[other]["networks"]) for other in others)

    airflow = ("api-server", "scheduler", "dag-processor", "triggerer", "celery-worker")
    assert share("postgres", "prepare", "spark-worker", "metrics", "pgadmin", "watchdog", *airflow)
    assert share("api-server", *airflow, "metrics", "watchdog")
    assert share("spark-master", "spark-worker", "scheduler", "celery-worker", "prometheus", "watchdog")
    assert share("redis", "scheduler", "celery-worker")
    assert share("prometheus", "metrics", "grafana", "spark-worker")
    assert not share("grafana", "postgres")
    assert not share("redis", "postgres")
    assert not share("pgadmin", "redis")


def test_a_service_waits_for_what_it_needs() -> None:
    order = {name: set(service.get("depends_on", {})) for name, service in SERVICES.items()}
    for name, needed in order.items():
        assert needed <= set(SERVICES), name
        for other, how in SERVICES[name].get("depends_on", {}).items():
            assert how["condition"] == ("service_completed_successfully" if other == "prepare" else "service_healthy")
    assert "postgres" in order["prepare"]
    assert {name for name in order if not order[name]} == {"postgres", "spark-master", "redis", "mail"}


@pytest.mark.parametrize("name", sorted(OURS))
def test_our_programs_and_their_checks_exist(name: str) -> None:
    (program,) = SERVICES[name]["command"]
    assert program in {"prepare", *CONTAINER_PROGRAMS}
    if program != "prepare":
        test = SERVICES[name]["healthcheck"]["test"]
        assert test[:4] == ["CMD", ".venv/bin/python", "-m", "include.platform.programs.health"]
        assert test[4] == program
        assert program in CHECKS


@pytest.mark.parametrize("name", sorted(OURS))
def test_our_settings_are_accepted(name: str) -> None:
    settings = Settings.from_env(SERVICES[name]["environment"])
    assert settings.database_sslmode == "verify-full"
    assert settings.root == Path("/var/lib/shopstream")
    mounted = {_target(one) for one in SERVICES[name].get("volumes", [])}
    assert str(settings.root) in mounted
    assert settings.landing_dir.is_relative_to(settings.root) or str(settings.landing_dir.parent) in mounted
    if "pgpass" in {one["target"] for one in SERVICES[name].get("secrets", []) if isinstance(one, dict)}:
        assert str(settings.database_sslrootcert.parent) in mounted  # type: ignore[union-attr]


def _target(volume: Any) -> str:
    return str(volume["target"] if isinstance(volume, dict) else volume.split(":")[1])


def test_every_setting_of_the_compose_file_exists() -> None:
    text = COMPOSE_FILE.read_text()
    names = set(re.findall(rf"^\s+{PREFIX}([A-Z_]+):", text, re.MULTILINE)) - {"UID", "GID"}
    assert {name.lower() for name in names} <= set(Settings.model_fields)


def test_the_image_holds_what_it_needs_and_no_more() -> None:
    image = read_dockerfile(DOCKER / "app" / "Dockerfile")
    assert set(image.files) == {".venv", "include", "jobs", "dags", "expectations"}
    assert image.entrypoint == ["/opt/shopstream/.venv/bin/python", "-m", "include.platform.programs.container"]
    python = read_dockerfile(DOCKER / "app" / "Dockerfile").base
    assert python == "python:${PYTHON}"


def test_the_build_copies_each_module_that_it_runs_to_its_place() -> None:
    """The first stage runs before the whole of include/ is there."""
    stage = (DOCKER / "app" / "Dockerfile").read_text().partition("\nFROM ")[2].partition("\nFROM ")[0]
    copied = set()
    for sources in re.findall(r"^COPY (.+)$", stage, re.MULTILINE):
        *files, target = sources.split()
        for file in files:
            assert (REPOSITORY / file).is_file(), file
            copied.add((Path(target) / Path(file).name).as_posix() if target.endswith("/") else target)
    modules = [name for name in re.findall(r"python3? -m (\S+)", stage) if name.startswith("include.")]
    assert modules == ["include.platform.installation.install"]
    for module in modules:
        path = Path(*module.split("."))
        wanted = {f"{path.as_posix()}.py", *(f"{one.as_posix()}/__init__.py" for one in path.parents if one.name)}
        assert wanted <= copied


def test_celery_changes_nothing_of_the_lock() -> None:
    pins = re.compile(r"^([a-z0-9-]+)==(\S+)", re.MULTILINE)
    locked = dict(pins.findall((REPOSITORY / "requirements.txt").read_text()))
    added = dict(pins.findall((DOCKER / "app/celery.txt").read_text()))
    assert added
    assert not {name for name in added if name in locked and locked[name] != added[name]}


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_hadolint_finds_nothing(path: Path) -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run(
        [hadolint, "--config", DOCKER / ".hadolint.yaml", path], capture_output=True, text=True, cwd=REPOSITORY
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(DOCKER)))
def test_shellcheck_finds_nothing(path: Path) -> None:
    shellcheck = Path(sys.executable).with_name("shellcheck")
    done = subprocess.run([shellcheck, path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert path.stat().st_mode & 0o111, f"{path} cannot be executed"


def test_promtool_accepts_the_configuration(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    assert promtool, "promtool is missing; on Debian: apt-get install prometheus"
    done = subprocess.run(
        [promtool, "check", "config", DOCKER / "prometheus/prometheus.yml"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_scrapes_services_at_the_ports_of_the_settings() -> None:
    scraped = yaml.safe_load((DOCKER / "prometheus/prometheus.yml").read_text())["scrape_configs"]
    targets = {one["job_name"]: one["static_configs"][0]["targets"] for one in scraped if "static_configs" in one}
    ports = Settings.from_env(SERVICES["spark-master"]["environment"]).ports
    assert targets["shopstream"] == [f"metrics:{ports['airflow'] + 7}"]
    assert targets["spark-master"] == [f"spark-master:{ports['spark-master-ui']}"]
    (worker,) = (one["dns_sd_configs"][0] for one in scraped if one["job_name"] == "spark-worker")
    assert worker == {"names": ["spark-worker"], "type": "A", "port": ports["spark-worker-ui"]}


def test_grafana_is_provisioned_with_what_is_mounted() -> None:
    mounted = [_target(one) for one in SERVICES["grafana"]["volumes"]]
    (provider,) = yaml.safe_load((DOCKER / "grafana/provisioning/dashboards/shopstream.yaml").read_text())["providers"]
    (source,) = yaml.safe_load((DOCKER / "grafana/provisioning/datasources/prometheus.yaml").read_text())["datasources"]
    assert provider["options"]["path"] in mounted
    assert source["url"] == "http://prometheus:9090"
    assert source["uid"] == "prometheus"


def test_pgadmin_knows_the_server_as_a_reader() -> None:
    (server,) = json.loads((DOCKER / "pgadmin/servers.json").read_text())["Servers"].values()
    assert (server["Host"], server["Username"], server["MaintenanceDB"]) == ("postgres", "shop_analyst", "shop")
    assert server["ConnectionParameters"]["sslmode"] == "verify-full"
    assert SERVICES["pgadmin"]["environment"]["PGSSLROOTCERT"] in {"/etc/shopstream/ca/ca.crt"}
