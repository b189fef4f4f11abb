"""What the supervisor starts: ``python -m include.platform.launch NAME`` becomes the program of that name.

Before it does, it ends what an earlier life of the program left behind. A scheduler that was killed leaves its task
processes, a Spark worker its driver; two generations at once would act against each other.
"""

from __future__ import annotations

import os
import pwd
import sys

from include.platform.environment import PROGRAM_VARIABLE
from include.platform.postgres import server_user
from include.platform.processes import end_processes, leftovers_of
from include.platform.programs import PROGRAMS
from include.settings import REPOSITORY, Settings


def main(name: str) -> None:
    """Replace this process by the program."""
    settings = Settings.from_env()
    program = PROGRAMS[name]
    end_processes(leftovers_of(settings.root, name), patience_seconds=3)
    command = program.command(settings)
    environment = {**program.environment(settings), PROGRAM_VARIABLE: name}
    os.chdir(REPOSITORY)
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
