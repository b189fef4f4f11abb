"""Create a user of the Airflow UI and API: ``python -m include.airflow.users NAME ROLE``, in Airflow's environment.

The last line of its output is JSON with the random password. An existing user gets the role and keeps the password.
"""

from __future__ import annotations

import json
import secrets
import sys

from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder
from airflow.utils.providers_configuration_loader import providers_configuration_loaded

from include.errors import PlatformError, ShopstreamError


@providers_configuration_loaded
def make_user(name: str, role_name: str) -> str | None:
    """Create a user with one role, or give the role to an existing user; return the password of a new user.

    Raises
    ------
    PlatformError
        When the role does not exist, or Airflow refuses the user name.
    """
    with get_application_builder() as builder:
        security = builder.sm
        role = security.find_role(role_name)
        if role is None:
            known = ", ".join(sorted(one.name for one in security.get_all_roles()))
            raise PlatformError(f"Airflow has no role {role_name!r}", f"Choose from {known}")
        user = security.find_user(name)
        if user is not None:
            user.roles = [role]
            security.update_user(user)
            return None
        password = secrets.token_urlsafe(12)
        if not security.add_user(name, name, "Shopstream", f"{name}@localhost", role, password):
            raise PlatformError(f"Airflow refuses a user named {name!r}", "Its log line above says why")
        return password


if __name__ == "__main__":
    try:
        print(json.dumps({"password": make_user(*sys.argv[1:])}))
    except ShopstreamError as error:
        sys.exit(str(error))
