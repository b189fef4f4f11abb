"""The instance under test: its processes by role, and its state in Postgres."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg2

from include.db import transaction
from include.errors import PlatformError
from include.platform.instance.environment import PROGRAM_VARIABLE
from include.platform.instance.home import claim_home, make_directories
from include.platform.programs.catalog import expected_programs
from include.platform.programs.processes import instance_processes, running_tasks
from include.platform.programs.supervisor import Supervisor
from include.platform.services import postgres
from include.platform.services.airflow_api import AirflowApi
from include.settings import Settings
from include.stream.intake.landing import Landing
from include.stream.supervision.status import stream_status
from tests.programs.chaos.disks import Disk
from tests.programs.chaos.waiting import NotTriedHereError, wait_for
from tests.support.platform import Platform

FEED = "generate_events"
# A file that waits longer than this counts as backlog.
_FRESH_SECONDS = 5.0
_MOUNTS = {"data": 16.0, "checkpoint": 1.5, "landing": 8.0}


@dataclass(frozen=True)
class Identity:
    """The driver process that loads events, and its epoch."""

    pid: int
    epoch: int


@dataclass
class Instance:
    """One platform, with disks of its own where the machine allows it.

    Attributes
    ----------
    disks:
        By name: ``data`` (Postgres), ``checkpoint`` and ``landing``; those that could not be mounted are missing.
    why_no_disks:
        What kept them from being mounted.
    """

    platform: Platform
    disks: dict[str, Disk] = field(default_factory=dict)
    why_no_disks: str = "this instance has no disks of its own"

    @classmethod
    def with_disks(cls, home: Path) -> Instance:
        """A new instance below ``home``; its Postgres, its checkpoint and its landing folder lie on a disk each."""
        platform = Platform(home)
        # Mount before anything else is put into the home.
        claim_home(platform.settings, passable=True)
        instance = cls(platform)
        inlet = home / "inlet"
        platform.variables["SHOPSTREAM_LANDING"] = str(inlet / "landing")
        platform.settings = Settings.from_env(platform.variables)
        paths = {
            "data": platform.settings.postgres_dir,
            "checkpoint": platform.settings.checkpoint_dir,
            "landing": inlet,
        }
        disks = {name: Disk(path, home / f"{name}.img", _MOUNTS[name]) for name, path in paths.items()}
        try:
            for name in ("checkpoint", "landing"):
                disks[name].mount()
                instance.disks[name] = disks[name]
            make_directories(platform.settings)
            instance._make_cluster_on(disks["data"])
            instance.disks["data"] = disks["data"]
        except NotTriedHereError as error:
            instance.why_no_disks = str(error)
        return instance

    def _make_cluster_on(self, disk: Disk) -> None:
        """initdb makes its directory by rename, so the cluster is made first and then moved onto its disk."""
        postgres.let_server_through(self.settings)
        postgres.initialize(self.settings)
        made = disk.path.rename(disk.path.with_name("postgres.made"))
        try:
            disk.mount()
        except NotTriedHereError:
            shutil.rmtree(disk.path, ignore_errors=True)
            made.rename(disk.path)
            raise
        owner = made.stat()
        for path in made.iterdir():
            shutil.move(path, disk.path / path.name)
        for path in (disk.path, *disk.path.rglob("*")):
            os.chown(path, owner.st_uid, owner.st_gid)
        disk.path.chmod(0o700)
        made.rmdir()

    def unmount(self) -> None:
        """Unmount the disks once the platform is down."""
        for disk in self.disks.values():
            disk.unmount()

    @property
    def settings(self) -> Settings:
        """Return the settings of the instance."""
        return self.platform.settings

    @property
    def landing(self) -> Landing:
        """Return its folders."""
        return Landing.of(self.settings)

    @property
    def supervisor(self) -> Supervisor:
        """Return the supervisor of its programs."""
        return Supervisor(self.settings)

    @property
    def api(self) -> AirflowApi:
        """Return a session with its Airflow."""
        return AirflowApi(self.settings)

    def disk(self, name: str) -> Disk:
        """One of its disks.

        Raises
        ------
        NotTriedHereError
            When it could not be mounted.
        """
        if name not in self.disks:
            raise NotTriedHereError(self.why_no_disks)
        return self.disks[name]

    # Postgres -------------------------------------------------------------------------------------------------------

    def rows(self, query: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a query, run as the owner."""
        with transaction(self.settings.dsn("owner"), connect_timeout=3) as cursor:
            cursor.execute(query, parameters)
            return list(cursor.fetchall())

    def value(self, query: str, **parameters: Any) -> Any:
        """Return the single value of a query, run as the owner; None without a row."""
        rows = self.rows(query, **parameters)
        return rows[0][0] if rows else None

    def execute(self, statement: str, **parameters: Any) -> None:
        """Run a statement as the owner."""
        with transaction(self.settings.dsn("owner")) as cursor:
            cursor.execute(statement, parameters)

    def end_backends_of_stream(self) -> int:
        """Make the stream reconnect, and return the number of its connections."""
        connection = postgres.connect_superuser(self.settings)
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'shop_ingest'")
            return int(cursor.rowcount)

    def identity(self) -> Identity | None:
        """Return the driver that holds the newest epoch."""
        rows = self.rows("SELECT pid, epoch FROM shop.runs ORDER BY epoch DESC LIMIT 1")
        return Identity(*rows[0]) if rows else None

    def first_commit_after(self, instant: float) -> float | None:
        """Return when the first file that arrived after an instant was loaded, Unix seconds."""
        committed: float | None = self.value(
            "SELECT extract(epoch FROM min(committed_at))::float8 FROM shop.files JOIN shop.batches USING (batch_id)"
            " WHERE arrived_at > to_timestamp(%(instant)s)",
            instant=instant,
        )
        return committed

    # Processes ------------------------------------------------------------------------------------------------------

    def program(self, name: str) -> psutil.Process:
        """Return the main process of a supervised program once it runs."""
        state = wait_for(lambda: self._running(name), seconds=60, what=f"{name} to run")
        return psutil.Process(state)

    def _running(self, name: str) -> int:
        state = self.supervisor.states().get(name)
        return state.pid if state is not None and state.is_running else 0

    def postmaster(self) -> psutil.Process:
        """Return the server process of Postgres."""
        return psutil.Process(int((self.settings.postgres_dir / "postmaster.pid").read_text().split()[0]))

    def driver_jvms(self) -> list[psutil.Process]:
        """Return the JVMs of the drivers that the Spark worker has started, usually one."""
        return self._workers_processes("org.apache.spark.deploy.worker.DriverWrapper")

    def driver_pythons(self) -> list[psutil.Process]:
        """Return the drivers' Python processes."""
        return self._workers_processes("stream_events.py", name="python")

    def driver(self) -> list[psutil.Process]:
        """Return JVM and Python of the driver once both run."""

        def both() -> list[psutil.Process]:
            jvms, pythons = self.driver_jvms(), self.driver_pythons()
            return [*jvms, *pythons] if jvms and pythons else []

        return wait_for(both, seconds=90, what="a driver's JVM and Python")

    def python_workers(self) -> list[psutil.Process]:
        """Return the Python processes that the driver's JVM has started for its tasks."""
        return self._workers_processes("pyspark.daemon")

    def tasks(self) -> list[psutil.Process]:
        """Return the processes of Airflow's running tasks."""
        return running_tasks(self.program("scheduler").pid)

    def everything(self) -> list[psutil.Process]:
        """Return all processes of the instance, with the supervisor and Postgres' own."""
        members = [member.process for member in instance_processes(self.settings.root)]
        return list({process.pid: process for process in with_descendants(members)}.values())

    def _workers_processes(self, argument: str, name: str = "") -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            try:
                if (
                    name in process.name()
                    and any(argument in one for one in process.cmdline())
                    and process.status() != psutil.STATUS_ZOMBIE
                    and process.environ().get("PLATFORM_HOME") == str(self.settings.root)
                    and process.environ().get(PROGRAM_VARIABLE) == "spark-worker"
                ):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    # Calm -----------------------------------------------------------------------------------------------------------

    def silence(self, dag_id: str) -> None:
        """Pause a DAG and end its runs, since runs of a paused DAG neither continue nor end."""
        api = self.api
        api.set_paused(dag_id, True)
        pids = []
        for run_id in api.active_runs(dag_id):
            pids += api.task_pids(dag_id, run_id)
            api.end_run(dag_id, run_id, "Ended by a harness that wants the instance for itself.")
        # A task learns of its end at its next heartbeat, and works until then.
        wait_for(
            lambda: not api.active_runs(dag_id) and not any(map(psutil.pid_exists, pids)),
            seconds=60,
            what=f"{dag_id} to be silent",
        )

    def unrest(self, *, with_airflow: bool) -> str:
        """Return what is not yet as it should be, in words; empty when all is well."""
        states = self.supervisor.states()
        down = [one.name for one in expected_programs(self.settings) if not states or not states[one.name].is_running]
        if down:
            return f"{', '.join(down)} not running"
        try:
            if not stream_status(self.settings.dsn("owner")).is_alive:
                return "the stream is not alive"
            waiting: int = self.value(
                "SELECT count(*) FROM shop.files WHERE state = 'admitted' AND arrived_at < now() - %(age)s::interval",
                age=f"{_FRESH_SECONDS} s",
            )
        except (PlatformError, psycopg2.Error) as error:
            return str(error).strip()
        waiting += sum(time.time() - entry.stat().st_ctime > _FRESH_SECONDS for entry in _entries(self.landing))
        if waiting:
            return f"{waiting} files wait for more than {_FRESH_SECONDS:.0f} s"
        if with_airflow:
            if unhealthy := self.api.unhealthy():
                return f"Airflow's {', '.join(unhealthy)} not healthy"
            # A new scheduler has adopted the tasks of the old one once it runs a task itself, at least
            # the one that watches the stream.
            if not running_tasks(states["scheduler"].pid):
                return "Airflow runs no task"
        return ""

    def wait_for_calm(self, *, seconds: float, with_airflow: bool = False) -> None:
        """Wait until the instance is as it should be and the stream has no backlog."""
        said: list[str] = [""]

        def is_calm() -> bool:
            said[0] = self.unrest(with_airflow=with_airflow)
            return not said[0]

        try:
            wait_for(is_calm, seconds=seconds, what="calm")
        except Exception as error:
            error.add_note(f"at last: {said[0]}")
            raise


def kill(processes: Iterable[psutil.Process], number: signal.Signals = signal.SIGKILL) -> list[int]:
    """Send a signal to processes as simultaneously as possible; return the pids that still existed."""
    reached = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)
            reached.append(process.pid)
    return reached


def are_dead(processes: Iterable[psutil.Process]) -> bool:
    """Return whether none of them runs; a zombie counts as dead."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE:
                return False
    return True


def with_descendants(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Return the processes, each before its descendants."""
    found = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            found += [process, *process.children(recursive=True)]
    return found


def _entries(landing: Landing) -> list[Any]:
    with contextlib.suppress(FileNotFoundError):
        return list(landing.waiting())
    return []
