"""Turn Airflow connections into libpq connection strings, so that the UI decides which database is used."""

from __future__ import annotations

import json

import psycopg2
from airflow.sdk import BaseHook
from psycopg2.extensions import make_dsn

from include.errors import PlatformError

OWNER_CONN_ID = "shop_owner"
OPS_CONN_ID = "shop_ops"
QUALITY_CONN_ID = "shop_quality"
SPARK_CONN_ID = "spark_cluster"


def dsn_of(conn_id: str) -> str:
    """Build the libpq connection string of a Postgres connection.

    Parameters
    ----------
    conn_id:
        An Airflow connection: host (a name or the directory of a unix socket), port, login, password, schema (the
        database), and as extra any further libpq parameter, for example ``{"sslmode": "verify-full"}``.

    Raises
    ------
    PlatformError
        When the extra holds a parameter that libpq does not know.
    """
    connection = BaseHook.get_connection(conn_id)
    try:
        # Do not use extra_dejson: it drops an extra that is not JSON, and would connect without the requested sslmode.
        extra = json.loads(connection.extra or "{}")
        return str(
            make_dsn(
                host=connection.host,
                port=connection.port,
                user=connection.login,
                password=connection.password,
                dbname=connection.schema,
                **{"application_name": f"airflow-{conn_id}", **extra},
            )
        )
    except (TypeError, ValueError, psycopg2.Error) as error:
        raise PlatformError(
            f"the extra of the Airflow connection {conn_id} is not a set of libpq parameters: {str(error).strip()}",
            'Correct it under Admin, Connections; for example {"sslmode": "require"}',
        ) from error
