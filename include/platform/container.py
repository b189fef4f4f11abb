"""What a container of the platform starts: ``python -m include.platform.container NAME`` becomes that program.

The programs are those of ``make up``, with the same commands and environments; only the settings differ. What
``make up`` does before, ``prepare`` does here, once, and ends. A program that lacks what it needs says so and is not
started. The engine of the containers is its supervisor, by exit status and by ``include.platform.health``; the watchdog
tells people what does not work, and sends the alerts.
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
from include.platform import postgres
from include.platform.environment import BROKER_FILE, PROGRAM_VARIABLE, airflow_environment
from include.platform.home import make_directories
from include.platform.java import prepare_java
from include.platform.preflight import check_database, check_secrets
from include.platform.prepare import prepare_schema
from include.platform.programs import PROGRAMS, Program
from include.platform.secrets import ADMIN_FILE, AIRFLOW_FILES
from include.platform.spark import check_version
from include.settings import REPOSITORY, Role, Settings

# As sysexits.h calls it: the configuration is wrong, and trying again does not help.
EXIT_CONFIGURATION = 78

_AIRFLOW_ROLES: tuple[Role, ...] = ("airflow", "owner", "ops", "quality")


@dataclass(frozen=True)
class Needs:
    """What a group of programs needs.

    Attributes
    ----------
    secrets:
        Files below ``secrets_dir``.
    roles:
        Roles of PostgreSQL whose passwords it must have. The first one is tried out.
    database:
        Where that is done; None: the analytics database.
    has_java, has_master:
        Whether it runs Java, and whether it only works with a Spark master of its version.
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

# PostgreSQL has an image of its own.
CONTAINER_PROGRAMS = {
    **{name: one for name, one in PROGRAMS.items() if name != "postgres"},
    CELERY_WORKER.name: CELERY_WORKER,
}


def check(settings: Settings, name: str, group: str) -> None:
    """Refuse to start what cannot work.

    Raises
    ------
    PlatformError
        With the fault and its remedy.
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
    """Make roles, databases, schema, Airflow's tables and Connections, or what is missing of them.

    Without the password of ``postgres`` roles and databases are not made: a managed server has them already.
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
            f"{error.filename} cannot be made: {error.strerror}",
            f"Mount a volume there that the user with the number {os.geteuid()} may write to",
        ) from error


def main(argv: list[str] | None = None) -> int:
    """Prepare, or become a program; returns the exit status when it is neither."""
    parser = argparse.ArgumentParser(prog="python -m include.platform.container", description=__doc__)
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
