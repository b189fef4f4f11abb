"""Start a program for the supervisor: ``python -m include.platform.programs.launch NAME`` becomes that program.

It first ends the processes that an earlier run of the program left behind. A killed scheduler leaves its task
processes, and a killed Spark worker its driver; two generations at once would interfere with each other.

Airflow's leftovers are killed with SIGKILL. A task that receives SIGTERM also ends what it supervises, and with that
the stream's driver. The driver should live on: the next try of the task attaches to it again.
"""

from __future__ import annotations

import os
import pwd
import sys
from pathlib import Path

from include.platform.instance.environment import PROGRAM_VARIABLE
from include.platform.programs.catalog import PROGRAMS, Program
from include.platform.programs.processes import end_processes, instance_processes, kill_processes
from include.platform.services.postgres import server_user
from include.settings import REPOSITORY, Settings

_TIMEOUT_SECONDS = 3.0
# With this niceness Airflow gets a third of the CPU share of the stream and PostgreSQL when they compete for a core. A
# task that imports Great Expectations for eight seconds can wait; events cannot.
_AIRFLOW_NICENESS = 5


def end_leftovers(home: Path, program: Program) -> None:
    """End the leftovers of earlier runs of ``program``.

    Airflow tasks whose scheduler is dead are killed too, by the first program that starts.
    """
    found = instance_processes(home)
    own = [one.process for one in found if one.program == program.name]
    # Only Airflow's task processes hide their environment, so processes without a known program are tasks.
    abrupt = [one.process for one in found if one.program is None]
    if program.group == "airflow":
        abrupt += own
        own = []
    kill_processes(abrupt, timeout_seconds=_TIMEOUT_SECONDS)
    end_processes(own, timeout_seconds=_TIMEOUT_SECONDS)


def main(name: str) -> None:
    """Replace this process by the program of that name."""
    os.umask(0o077)
    settings = Settings.from_env()
    program = PROGRAMS[name]
    end_leftovers(settings.root, program)
    command = program.command(settings)
    environment = {**program.environment(settings), PROGRAM_VARIABLE: name}
    os.chdir(REPOSITORY)
    if program.group == "airflow":
        os.nice(_AIRFLOW_NICENESS)
    user = server_user() if program.group == "postgres" else None
    if user:
        identity = pwd.getpwnam(user)
        os.chdir("/")
        os.setgroups([])
        os.setgid(identity.pw_gid)
        os.setuid(identity.pw_uid)
    os.execve(command[0], command, environment)


if __name__ == "__main__":
    main(sys.argv[1])
