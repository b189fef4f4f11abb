"""What the supervisor starts: ``python -m include.platform.launch NAME`` becomes the program of that name.

Before it does, it ends what an earlier life of the program left behind. A scheduler that was killed leaves its task
processes, a Spark worker its driver; two generations at once would act against each other.

What Airflow left is killed at once: a task that is asked to end ends what it supervises, too, and so the stream's
driver. That lives on, and the next try of the task attaches to it again.
"""

from __future__ import annotations

import os
import pwd
import sys
from pathlib import Path

from include.platform.environment import PROGRAM_VARIABLE
from include.platform.postgres import server_user
from include.platform.processes import end_processes, instance_processes, kill_processes
from include.platform.programs import PROGRAMS, Program
from include.settings import REPOSITORY, Settings

_PATIENCE_SECONDS = 3.0
# A third of the share of a core that the stream and PostgreSQL get, where they want the same one: a task that reads
# Great Expectations into memory for eight seconds can wait, events cannot.
_AIRFLOW_NICENESS = 5


def end_leftovers(home: Path, program: Program) -> None:
    """End what earlier lives of ``program`` left; and tasks of Airflow whose scheduler is dead, whoever comes first."""
    found = instance_processes(home)
    own = [one.process for one in found if one.program == program.name]
    # Only Airflow closes its processes, so these are tasks.
    abrupt = [one.process for one in found if one.program is None]
    if program.group == "airflow":
        abrupt += own
        own = []
    kill_processes(abrupt, patience_seconds=_PATIENCE_SECONDS)
    end_processes(own, patience_seconds=_PATIENCE_SECONDS)


def main(name: str) -> None:
    """Replace this process by the program."""
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
