"""Start the program of a container: ``python -m include.platform.programs.container NAME`` becomes that program.

The programs are those of ``make up``, with the same commands and environments; only the settings differ. The
preparation that ``make up`` does first is a separate program here, ``prepare``, which runs once and exits. A program
whose requirements are not met reports the fault and does not start. The container engine supervises the programs by
exit status and by ``include.platform.programs.health``. The watchdog raises and sends the alerts.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from include.errors import PlatformError, ShopstreamError
from include.platform.installation.java import prepare_java
from include.platform.instance.environment import BROKER_FILE, PROGRAM_VARIABLE, airflow_environment
from include.platform.instance.home import make_directories
from include.platform.instance.secrets import ADMIN_FILE, AIRFLOW_FILES
from include.platform.programs.catalog import PROGRAMS, Program
from include.platform.programs.preflight import check_database, check_secrets
from include.platform.programs.prepare import prepare_schema
from include.platform.services import postgres
from include.platform.services.spark import check_version
from include.settings import REPOSITORY, Role, Settings

# EX_CONFIG of sysexits.h: the configuration is wrong, and a retry does not help.
EXIT_CONFIGURATION = 78

_AIRFLOW_ROLES: tuple[Role, ...] = ("airflow", "owner", "ops", "quality")


@dataclass(frozen=True)
class Needs:
    """The requirements of a group of programs.

    Attributes
    ----------
    secrets:
        Files below ``secrets_dir``.
    roles:
        PostgreSQL roles whose passwords must be present. A test connection is made with the first one.
    database:
        The database of the test connection; None means the analytics database.
    has_java, has_master:
        Whether it runs Java, and whether it needs a Spark master of the same version.
    """

    secrets: tuple[str, ...] = ()
    roles: tuple[Role, ...] = ()
    database: str | None = None
    has_java: bool = False
    has_master: bool = False


_NEEDS = {
    "prepare": Needs((*AIRFLOW_FILES, ADMIN_FILE), _AIRFLOW_ROLES),
    "airflow": Needs(AIRFLOW_FILES, _AIRFLOW_ROLES, postgres.AIRFLOW_DATABASE, has_java=True),
    "spark-master": Needs(has_java=True),
    "spark-worker": Needs((), ("ingest",), has_java=True, has_master=True),
    "metrics": Needs((), ("ops",)),
    "watchdog": Needs((*AIRFLOW_FILES, ADMIN_FILE), ("airflow", "ops"), postgres.AIRFLOW_DATABASE),
}


def _celery_worker(settings: Settings) -> list[str]:
    return [
        str(Path(sys.executable).with_name("airflow")),
        *("celery", "worker", "--skip-serve-logs", "--concurrency", str(settings.parallelism)),
    ]


CELERY_WORKER = Program("celery-worker", "airflow", _celery_worker, airflow_environment)

# PostgreSQL runs from its own image.
CONTAINER_PROGRAMS = {
    **{name: one for name, one in PROGRAMS.items() if name != "postgres"},
    CELERY_WORKER.name: CELERY_WORKER,
}


def check(settings: Settings, name: str, group: str) -> None:
    """Check that the requirements of a program are met.

    Raises
    ------
    PlatformError
        When one is not met, with the fault and its remedy.
    """
    needs = _NEEDS.get(name) or _NEEDS[group]
    secrets = needs.secrets
    if group == "airflow" and settings.executor == "CeleryExecutor":
        secrets = (*secrets, BROKER_FILE)
    check_secrets(settings, secrets, [f"shop_{role}" for role in needs.roles])
    if needs.has_java:
        prepare_java(settings)
    if needs.has_master:
        check_version(settings.spark_host, settings.ports["spark-rest"])
    if needs.roles and name != "prepare":
        check_database(settings, needs.roles[0], needs.database)


def start(settings: Settings, name: str) -> None:
    """Replace this process by a program."""
    program = CONTAINER_PROGRAMS[name]
    check(settings, name, program.group)
    command = program.command(settings)
    os.chdir(REPOSITORY)
    os.execve(command[0], command, {**program.environment(settings), PROGRAM_VARIABLE: name})


def prepare(settings: Settings) -> None:
    """Create roles, databases, schema, Airflow's tables and Connections, as far as they are missing.

    Without the password of ``postgres``, roles and databases are not created: a managed server has them already.
    """
    check(settings, "prepare", "prepare")
    if postgres.knows_superuser(settings):
        postgres.provision(settings)
        print("Roles and databases are in place", flush=True)
    check_database(settings, "owner")
    print(f"The schema: {prepare_schema(settings) or 'nothing was missing'}", flush=True)
    subprocess.run(
        [sys.executable, "-m", "include.airflow.bootstrap"],
        cwd=REPOSITORY,
        env=airflow_environment(settings),
        check=True,
    )
    print("Airflow's metadata database is prepared", flush=True)


def _make_directories(settings: Settings) -> None:
    try:
        make_directories(settings)
    except OSError as error:
        raise PlatformError(
            f"{error.filename} cannot be created: {error.strerror}",
            f"Mount a volume there that the user id {os.geteuid()} may write to",
        ) from error


def main(argv: list[str] | None = None) -> int:
    """Prepare the databases, or start a program, and return the exit status unless the program has taken over."""
    parser = argparse.ArgumentParser(prog="python -m include.platform.programs.container", description=__doc__)
    parser.add_argument("name", choices=["prepare", *CONTAINER_PROGRAMS])
    name = parser.parse_args(argv).name
    action: Callable[[Settings], None] = prepare if name == "prepare" else lambda settings: start(settings, name)
    try:
        settings = Settings.from_env()
        _make_directories(settings)
        action(settings)
    except ShopstreamError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_CONFIGURATION
    except subprocess.CalledProcessError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
