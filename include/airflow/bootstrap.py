"""Prepare Airflow's metadata database: tables, the administrator, roles, pools, and the Connections of the DAGs.

All of this runs in one process, because each call of the ``airflow`` command pays five seconds of imports. Run it as
``python -m include.airflow.bootstrap`` in the environment of the Airflow processes. It is safe to run again at any
time: it never overwrites a Connection or a pool that a user has edited.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from airflow.models import Connection
from airflow.models.pool import Pool
from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder
from airflow.utils import db
from airflow.utils.providers_configuration_loader import providers_configuration_loaded
from airflow.utils.session import create_session

from include.platform.instance.secrets import ADMIN, admin_password, write_private
from include.platform.services.connections import airflow_connections
from include.platform.services.pools import POOLS
from include.platform.services.roles import ROLE_PERMISSIONS
from include.settings import Settings


@providers_configuration_loaded
def bootstrap(settings: Settings) -> None:
    """Create or update everything in the environment's metadata database that ``settings`` describe."""
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
        make_pools(session)
        for line in bring_connections(session, airflow_connections(settings), written_file(settings)):
            print(line, flush=True)


def make_pools(session: Any) -> None:
    """Create the missing pools; keep existing ones, since their size is the user's decision."""
    for name, (slots, description) in POOLS.items():
        if session.query(Pool).filter_by(pool=name).one_or_none() is None:
            session.add(Pool(pool=name, slots=slots, description=description, include_deferred=False))


def written_file(settings: Settings) -> Path:
    """Return the path of the file with the fingerprints of the Connections that the platform wrote."""
    return settings.root / "airflow" / "connections.json"


def bring_connections(session: Any, wanted: list[dict[str, Any]], written: Path) -> list[str]:
    """Create the missing Connections, and update those that no user has edited.

    A Connection that is unchanged since the platform last wrote it follows the settings, for example a new port or a
    new password. Any other Connection belongs to the user and is kept.

    Parameters
    ----------
    session:
        Session of the metadata database.
    wanted:
        The Connections as keyword arguments.
    written:
        The file with the fingerprint of each Connection as it was last written.

    Returns
    -------
    list of str
        One line for each kept Connection that differs from the settings; it names the differing fields, without their
        values.
    """
    fingerprints = _read(written)
    kept = []
    for values in wanted:
        conn_id = values["conn_id"]
        found = session.query(Connection).filter_by(conn_id=conn_id).one_or_none()
        if found is None:
            found = Connection(**values)
            session.add(found)
        differing = [name for name, value in values.items() if not _is_same(name, getattr(found, name), value)]
        if differing and fingerprints.get(conn_id) != _fingerprint(found, values):
            kept.append(
                f"The connection {conn_id} was edited and is kept; it differs from the settings in "
                f"{', '.join(differing)}. Delete it under Admin, Connections to have it created again."
            )
            continue
        for name in differing:
            setattr(found, name, values[name])
        fingerprints[conn_id] = _fingerprint(found, values)
    session.flush()
    written.parent.mkdir(parents=True, exist_ok=True)
    write_private(written, json.dumps(fingerprints, indent=2))
    return kept


def _is_same(name: str, found: Any, wanted: Any) -> bool:
    """Return whether a field has a value; compare an extra as JSON, and treat an empty field as not set."""
    if name == "extra":
        try:
            return bool(json.loads(found or "{}") == json.loads(wanted or "{}"))
        except ValueError:
            return False
    return (found or None) == (wanted or None)


def _fingerprint(connection: Connection, fields: dict[str, Any]) -> str:
    content = {name: getattr(connection, name) for name in sorted(fields)}
    return hashlib.sha256(json.dumps(content, default=str).encode()).hexdigest()


def _read(path: Path) -> dict[str, str]:
    try:
        kept: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        # Without fingerprints, every Connection that differs from the settings counts as edited.
        return {}
    return kept


if __name__ == "__main__":
    bootstrap(Settings.from_env())
