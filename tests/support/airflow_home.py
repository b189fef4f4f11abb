"""Configure Airflow inside the test process: its own home, the platform's plugin and auth manager.

Airflow reads these variables when it is first imported, so import this module before anything of Airflow.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from include.settings import REPOSITORY

HOME = Path(tempfile.mkdtemp(prefix="shopstream-airflow-"))

os.environ.update(
    {
        "AIRFLOW_HOME": str(HOME),
        "AIRFLOW__API__BASE_URL": "http://airflow.test",
        "AIRFLOW__API_AUTH__JWT_SECRET": "for the tests of this process, which nobody else can reach, only",
        "AIRFLOW__CORE__AUTH_MANAGER": "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
        "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "include" / "airflow" / "plugins"),
    }
)


def remove() -> None:
    """Delete the home once nothing uses Airflow any more."""
    shutil.rmtree(HOME, ignore_errors=True)
