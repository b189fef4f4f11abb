"""The environment of every process: what the platform's programs and ``airflow dags test`` run with."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

from include.platform.java import java_home
from include.platform.packages import package_directory
from include.platform.postgres import AIRFLOW_DATABASE
from include.platform.secrets import airflow_secrets
from include.settings import ANY_ADDRESS, PREFIX, REPOSITORY, Settings

# Marks every process of an instance, whoever its parent became: that is how leftovers are found and nothing else is.
INSTANCE_VARIABLE = "PLATFORM_HOME"
PROGRAM_VARIABLE = "PLATFORM_PROGRAM"

# The file with the URL of Celery's broker, password included; only the Celery executor has one.
BROKER_FILE = "broker-url"

# What another tool left in the user's shell must not change what runs here.
_FOREIGN = ("AIRFLOW_HOME", "AIRFLOW__", "SPARK_", "PYSPARK_", "JAVA_", "PYTHON", "PG", "VIRTUAL_ENV")


def settings_environment(settings: Settings) -> dict[str, str]:
    """The ``SHOPSTREAM_`` variables that give another process these settings, with ``home`` absolute."""
    given = settings.model_dump(mode="json", include=settings.model_fields_set, exclude_none=True)
    return {PREFIX + name.upper(): str(value) for name, value in {**given, "home": settings.root}.items()}


def base_environment(settings: Settings) -> dict[str, str]:
    """The user's environment without what would interfere, with this checkout, its virtualenv and its Java."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith((PREFIX, *_FOREIGN))}
    programs = Path(sys.executable).parent
    return {
        **inherited,
        **settings_environment(settings),
        INSTANCE_VARIABLE: str(settings.root),
        "PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "PYTHONPATH": str(REPOSITORY),
        "PYTHONUNBUFFERED": "1",
        # Airflow gives its processes titles; without this the title is written over the environment and its marks.
        "SPT_NOENV": "1",
        "JAVA_HOME": str(java_home(settings)),
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        # Great Expectations reports usage to its makers unless told not to.
        "GX_ANALYTICS_ENABLED": "false",
    }


def spark_environment(settings: Settings) -> dict[str, str]:
    """For the Spark master and worker; the drivers, started by the worker, inherit it."""
    spark = package_directory("pyspark")
    (core,) = (spark / "jars").glob("spark-core_*.jar")
    return {
        **base_environment(settings),
        "SPARK_HOME": str(spark),
        # Spark's own scripts set it for the daemons that they start; a worker without it cannot start an executor.
        "SPARK_SCALA_VERSION": core.name.removeprefix("spark-core_").split("-")[0],
        **_spark_addresses(settings),
        "PYSPARK_PYTHON": sys.executable,
    }


def _spark_addresses(settings: Settings) -> dict[str, str]:
    """What confines all that Spark binds, in daemons and drivers, to one address; without it Spark asks the machine."""
    if settings.bind_host == ANY_ADDRESS:
        return {}
    return {"SPARK_LOCAL_IP": settings.bind_host, "SPARK_PUBLIC_DNS": settings.bind_host}


def airflow_environment(settings: Settings) -> dict[str, str]:
    """For the Airflow processes, their tasks, and ``airflow`` on the command line."""
    home = settings.root / "airflow"
    # Airflow reads them from their files: what is in an environment is seen by whoever may look at the process.
    keys = {name: f"cat {shlex.quote(str(path))}" for name, path in airflow_secrets(settings).items()}
    url = (
        f"://shop_airflow@/{AIRFLOW_DATABASE}?host={settings.database_host or settings.socket_dir}"
        f"&port={settings.database_port}&passfile={settings.passfile}"
    )
    options = {
        "CORE__AUTH_MANAGER": "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
        "CORE__DAGS_FOLDER": REPOSITORY / "dags",
        "CORE__DAGS_ARE_PAUSED_AT_CREATION": settings.dags_start_paused,
        "CORE__EXECUTION_API_SERVER_URL": f"{settings.airflow_url}/execution/",
        "CORE__EXECUTOR": settings.executor,
        "CORE__FERNET_KEY_CMD": keys["fernet-key"],
        "CORE__LOAD_EXAMPLES": False,
        "CORE__PARALLELISM": settings.parallelism,
        "CORE__PLUGINS_FOLDER": REPOSITORY / "include" / "airflow" / "plugins",
        "DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2{url}&sslmode={settings.database_sslmode}",
        "DATABASE__SQL_ALCHEMY_CONN_ASYNC": f"postgresql+asyncpg{url}&ssl={settings.database_sslmode}",
        "API__BASE_URL": settings.public_url or settings.airflow_url,
        "API__INSTANCE_NAME": "Shopstream",
        "API__SECRET_KEY_CMD": keys["api-secret-key"],
        "API__WORKERS": 1,
        "API_AUTH__JWT_SECRET_CMD": keys["jwt-secret"],
        # Tokens that expire while the API is away are never renewed.
        "EXECUTION_API__JWT_EXPIRATION_TIME": 86400,
        # A running stream outlives an API server that is away for minutes.
        "WORKERS__MAX_FAILED_HEARTBEATS": 100,
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": 300,
        "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": 30,
        "DAG_PROCESSOR__REFRESH_INTERVAL": 5,
        "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": 60,
        "LOGGING__BASE_LOG_FOLDER": settings.task_log_dir,
        "LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": settings.log_dir / "dags",
        "LOGGING__LOGGING_LEVEL": "INFO",
        "LOGGING__COLORED_CONSOLE_LOG": False,
        "LOGGING__JSON_LOGS": settings.log_format == "json",
        "METRICS__OTEL_ON": settings.otlp_endpoint is not None,
        "TRACES__OTEL_ON": settings.otlp_endpoint is not None,
    }
    if settings.executor == "CeleryExecutor":
        # The broker gives a task that takes longer to another worker, which ends the first: a try of the stream lasts
        # for a week.
        options["CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT"] = 8 * 86400
        options["CELERY__BROKER_URL_CMD"] = f"cat {shlex.quote(str(settings.secrets_dir / BROKER_FILE))}"
    return {
        **base_environment(settings),
        "SPARK_HOME": str(package_directory("pyspark")),
        **_spark_addresses(settings),
        # Of the two drivers only one would take it from the URL.
        **({"PGSSLROOTCERT": str(settings.database_sslrootcert)} if settings.database_sslrootcert else {}),
        "AIRFLOW_HOME": str(home),
        **{f"AIRFLOW__{name}": str(value) for name, value in options.items()},
        **_otlp_environment(settings),
    }


def _otlp_environment(settings: Settings) -> dict[str, str]:
    """Where Airflow sends its metrics and traces; other ``OTEL_`` variables of the user, such as the interval, hold."""
    if settings.otlp_endpoint is None:
        return {}
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": settings.otlp_endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_TRACES_EXPORTER": "otlp_proto_http",
        "OTEL_SERVICE_NAME": "airflow",
    }
