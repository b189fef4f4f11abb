"""``make user``: create a user who may log in to the Airflow UI and use the API of the cockpit."""

from __future__ import annotations

import json
import subprocess
import sys

from include.errors import PlatformError
from include.platform.instance.environment import airflow_environment
from include.settings import REPOSITORY, Settings


def make_user(settings: Settings, name: str, role: str) -> str | None:
    """Create a user with one of Airflow's roles, or give the role to an existing user.

    Returns
    -------
    str or None
        The password of a new user, which is not stored in plain text; None for an existing user.

    Raises
    ------
    PlatformError
        When Airflow rejects the name or the role, or has no database; the message is Airflow's.
    """
    # Use a separate process, because this one must not import Airflow.
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
        raise PlatformError(f"user {name!r} did not get the role {role!r}: {said[-1] if said else 'unknown error'}")
    password: str | None = json.loads(done.stdout.splitlines()[-1])["password"]
    return password
