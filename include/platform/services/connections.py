"""Define the Airflow Connections through which the DAGs reach PostgreSQL and Spark."""

from __future__ import annotations

import json
from typing import Any

from include.platform.services.postgres import ensure_passwords
from include.settings import Role, Settings

_DATABASE_ROLES: tuple[Role, ...] = ("owner", "ops", "quality")


def airflow_connections(settings: Settings) -> list[dict[str, Any]]:
    """Return each Connection as keyword arguments of Airflow's ``Connection``."""
    passwords = ensure_passwords(settings.passfile)
    transport: dict[str, str] = {"sslmode": settings.database_sslmode}
    if settings.database_sslrootcert:
        transport["sslrootcert"] = str(settings.database_sslrootcert)
    postgres = [
        {
            "conn_id": f"shop_{role}",
            "conn_type": "postgres",
            "host": settings.database_host or str(settings.socket_dir),
            "port": settings.database_port,
            "schema": settings.database_name,
            "login": f"shop_{role}",
            "password": passwords[f"shop_{role}"],
            "extra": json.dumps(transport),
            "description": f"The analytics database as role {role}.",
        }
        for role in _DATABASE_ROLES
    ]
    spark = {
        "conn_id": "spark_cluster",
        "conn_type": "spark",
        "host": f"spark://{settings.spark_host}",
        "port": settings.ports["spark-master"],
        "extra": json.dumps({"deploy-mode": "cluster", "rest-port": settings.ports["spark-rest"]}),
        "description": "The standalone master; drivers run on its workers.",
    }
    return [*postgres, spark]
