"""Prepare Airflow's metadata database: tables, the administrator, roles, the Connections that the DAGs use.

One process, because each call of the ``airflow`` command pays five seconds of imports. Run it as
``python -m include.airflow.bootstrap`` in the environment of the Airflow processes; it may be run again at any time.
"""

from __future__ import annotations

from airflow.models import Connection
from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder
from airflow.utils import db
from airflow.utils.providers_configuration_loader import providers_configuration_loaded
from airflow.utils.session import create_session

from include.platform.connections import airflow_connections
from include.platform.roles import ROLE_PERMISSIONS
from include.platform.secrets import ADMIN, admin_password
from include.settings import Settings


@providers_configuration_loaded
def bootstrap(settings: Settings) -> None:
    """Bring the metadata database of the environment up to what ``settings`` describe."""
    db.upgradedb()
    with get_application_builder() as builder:
        security = builder.sm
        if not security.find_user(ADMIN):
            security.add_user(
                ADMIN,
                "Shopstream",
                "Administrator",
                "admin@localhost",
                security.find_role("Admin"),
                admin_password(settings),
            )
        security.bulk_sync_roles(ROLE_PERMISSIONS)
    with create_session() as session:
        for wanted in airflow_connections(settings):
            found = session.query(Connection).filter_by(conn_id=wanted["conn_id"]).one_or_none()
            if found is None:
                found = Connection(conn_id=wanted["conn_id"])
                session.add(found)
            for name, value in wanted.items():
                setattr(found, name, value)


if __name__ == "__main__":
    bootstrap(Settings.from_env())
