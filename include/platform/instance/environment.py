"""Build the environment variables of the platform's programs and of ``airflow dags test``."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

from include.platform.installation.java import java_home
from include.platform.installation.packages import package_directory
from include.platform.instance.secrets import airflow_secrets
from include.settings import ANY_ADDRESS, PREFIX, REPOSITORY, Settings

# This variable marks every process of an instance, even a reparented one. Leftovers are found by it alone.
# Airflow's metadata database, on the same server.
AIRFLOW_DATABASE = "airflow"
INSTANCE_VARIABLE = "PLATFORM_HOME"
PROGRAM_VARIABLE = "PLATFORM_PROGRAM"

# The file with the URL of Celery's broker, password included; only the Celery executor has one.
BROKER_FILE = "broker-url"

# Variables that other tools left in the user's shell must not influence the platform.
_FOREIGN = ("AIRFLOW_HOME", "AIRFLOW__", "SPARK_", "PYSPARK_", "JAVA_", "PYTHON", "PG", "VIRTUAL_ENV")


# Variables of the machine and the user's account that programs need. Any other variable of a shell can hold a key or
# a token.
_OF_THE_MACHINE = frozenset({"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "TMPDIR", "LD_LIBRARY_PATH"})


def is_of_the_machine(name: str) -> bool:
    """Return whether a user's variable may go to Spark's processes, whose environment the master stores."""
    return name in _OF_THE_MACHINE or name.startswith("LC_")


def settings_environment(settings: Settings) -> dict[str, str]:
    """Return the ``SHOPSTREAM_`` variables that give another process these settings, with ``home`` absolute."""
    given = settings.model_dump(mode="json", include=settings.model_fields_set, exclude_none=True)
    return {PREFIX + name.upper(): str(value) for name, value in {**given, "home": settings.root}.items()}


def base_environment(settings: Settings) -> dict[str, str]:
    """Return the user's environment without interfering variables, with this checkout, its virtualenv and its Java."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith((PREFIX, *_FOREIGN))}
    return {**inherited, **_without_proxy(settings), **_own_environment(settings)}


def _without_proxy(settings: Settings) -> dict[str, str]:
    """Return variables that exempt the platform's own addresses from a configured proxy."""
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return {}
    ours = ["127.0.0.1", "localhost", "::1", settings.airflow_host, settings.spark_host]
    given = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    hosts = ",".join(dict.fromkeys([*filter(None, given.split(",")), *ours]))
    return {"NO_PROXY": hosts, "no_proxy": hosts}


def _own_environment(settings: Settings) -> dict[str, str]:
    """Return the variables that the platform sets for each of its processes."""
    programs = Path(sys.executable).parent
    return {
        **settings_environment(settings),
        INSTANCE_VARIABLE: str(settings.root),
        "PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "PYTHONPATH": str(REPOSITORY),
        "PYTHONUNBUFFERED": "1",
        # Airflow sets process titles. Without this, setproctitle overwrites the environment, including our marks.
        "SPT_NOENV": "1",
        "JAVA_HOME": str(java_home(settings)),
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        # Great Expectations sends usage reports by default.
        "GX_ANALYTICS_ENABLED": "false",
    }


def spark_environment(settings: Settings) -> dict[str, str]:
    """Return the environment of the Spark master and worker; drivers, which the worker starts, inherit it."""
    spark = package_directory("pyspark")
    (core,) = (spark / "jars").glob("spark-core_*.jar")
    return {
        **{name: value for name, value in os.environ.items() if is_of_the_machine(name)},
        **_own_environment(settings),
        "SPARK_HOME": str(spark),
        # Spark's own start scripts set this. A worker without it cannot start an executor.
        "SPARK_SCALA_VERSION": core.name.removeprefix("spark-core_").split("-")[0],
        **_spark_addresses(settings),
        "PYSPARK_PYTHON": sys.executable,
    }


def _spark_addresses(settings: Settings) -> dict[str, str]:
    """Return the variables that bind all ports of Spark's daemons and drivers to one address.

    Without them Spark takes the address that the machine's host name resolves to.
    """
    if settings.bind_host == ANY_ADDRESS:
        return {}
    return {"SPARK_LOCAL_IP": settings.bind_host, "SPARK_PUBLIC_DNS": settings.bind_host}


def airflow_environment(settings: Settings) -> dict[str, str]:
    """Return the environment of the Airflow processes, their tasks, and ``airflow`` on the command line."""
    home = settings.root / "airflow"
    # Airflow reads the keys from their files, since everyone who may inspect a process can read its environment.
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
        # A token that expires while the API server is down is never renewed.
        "EXECUTION_API__JWT_EXPIRATION_TIME": 86400,
        # A running stream must survive an API server that is down for minutes.
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
        # The broker hands a task that takes longer than this to another worker, which ends the first run. A try of the
        # stream lasts for a week.
        options["CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT"] = 8 * 86400
        options["CELERY__BROKER_URL_CMD"] = f"cat {shlex.quote(str(settings.secrets_dir / BROKER_FILE))}"
    return {
        **base_environment(settings),
        "SPARK_HOME": str(package_directory("pyspark")),
        **_spark_addresses(settings),
        # Set as a variable because only one of the two PostgreSQL drivers reads it from the URL.
        **({"PGSSLROOTCERT": str(settings.database_sslrootcert)} if settings.database_sslrootcert else {}),
        "AIRFLOW_HOME": str(home),
        **{f"AIRFLOW__{name}": str(value) for name, value in options.items()},
        **_otlp_environment(settings),
    }


def _otlp_environment(settings: Settings) -> dict[str, str]:
    """Return where Airflow sends metrics and traces; the user's other ``OTEL_`` variables, such as intervals, apply."""
    if settings.otlp_endpoint is None:
        return {}
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": settings.otlp_endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_TRACES_EXPORTER": "otlp_proto_http",
        "OTEL_SERVICE_NAME": "airflow",
    }
