"""``make user``: somebody who may log in to the Airflow UI, and use the API of the cockpit."""

from __future__ import annotations

import json
import subprocess
import sys

from include.errors import PlatformError
from include.platform.environment import airflow_environment
from include.settings import REPOSITORY, Settings


def make_user(settings: Settings, name: str, role: str) -> str | None:
    """Make a user with one of Airflow's roles, or give it to one who exists.

    Returns
    -------
    str or None
        The password of a new user, which is kept nowhere.

    Raises
    ------
    PlatformError
        With what Airflow says when it does not take the name or the role, or has no database.
    """
    # In a process of its own, as this one is to know nothing of Airflow.
    done = subprocess.run(
        [sys.executable, "-m", "include.airflow.users", name, role],
        cwd=REPOSITORY,
        env=airflow_environment(settings),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise PlatformError(f"there is no user {name!r} with the role {role!r} yet: {said[-1] if said else 'unknown'}")
    password: str | None = json.loads(done.stdout.splitlines()[-1])["password"]
    return password
