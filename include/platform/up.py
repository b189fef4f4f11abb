"""``make up``: from whatever is there to a platform whose first events have gone the whole way."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from typing import Any

from include.db import load_queries, transaction
from include.errors import PlatformError
from include.platform import postgres
from include.platform.checks import check_machine, check_ports
from include.platform.connections import airflow_connections
from include.platform.environment import airflow_environment, settings_environment
from include.platform.home import Memory, exclusive, make_directories
from include.platform.java import prepare_java
from include.platform.logs import tail
from include.platform.preflight import check_database, check_secrets
from include.platform.prepare import prepare_schema
from include.platform.processes import end_processes, instance_processes
from include.platform.programs import expected_programs
from include.platform.report import Report
from include.platform.rest import AirflowApi
from include.platform.roles import ROLE_PERMISSIONS
from include.platform.secrets import admin_password
from include.platform.spark import alive_workers
from include.platform.supervisor import Supervisor, running_settings
from include.settings import REPOSITORY, ROLES, Settings
from include.stream.status import stream_status

FEED, STREAM, REFRESH, QUALITY = "generate_events", "stream_events", "refresh_views", "check_quality"
DAGS = (STREAM, FEED, REFRESH, QUALITY, "evaluate_objectives", "maintain_partitions", "watch_stream")
SERVICES = ("postgres", "spark", "metrics", "airflow")

_FEED_EVERY_SECONDS = 300
_MOST_RESTARTS = 2
_SQL = load_queries("platform")


class Startup:
    """One call of ``make up``.

    Parameters
    ----------
    settings:
        Of the instance.
    report:
        Where the steps are shown.
    services:
        The groups of programs to start; without ``airflow`` the DAGs are left alone.
    """

    def __init__(self, settings: Settings, report: Report, services: Iterable[str] = SERVICES) -> None:
        self.settings = settings
        self.report = report
        self.services = set(services)
        self.supervisor = Supervisor(settings)
        self.api = AirflowApi(settings)
        self.memory = Memory()
        self.was_down = True

    def run(self) -> None:
        """Bring everything up; what runs already is left as it is.

        Raises
        ------
        ShopstreamError
            Naming the process that failed, the end of its log and the remedy.
        """
        with exclusive(self.settings, "make up"), self.report.live():
            self._prepare()
            with ThreadPoolExecutor(max_workers=1) as threads:
                spark = threads.submit(self._start_spark)
                self._start_postgres()
                if "metrics" in self.services:
                    # Nothing waits for it: it answers within a second, and is no part of the way of the data.
                    self._start("metrics")
                self._prepare_airflow()
                if "airflow" in self.services:
                    self._start_airflow()
                spark.result()
            if "airflow" in self.services:
                self._follow_the_first_events()

    # What is there, and what must be --------------------------------------------------------------------------------

    def _prepare(self) -> None:
        make_directories(self.settings)
        self.memory = Memory.load(self.settings)
        self.was_down = not self.supervisor.is_up
        check_machine(self.settings)
        if self.was_down:
            self._sweep()
            self._forget_drivers()
            check_ports(self.settings)
            self._check_own_database()
            with self.report.step("Java") as step:
                step.text = f"Java {prepare_java(self.settings)}"
            postgres.ensure_passwords(self.settings.passfile)
            admin_password(self.settings)
            if postgres.is_embedded(self.settings):
                for directory in postgres.let_server_through(self.settings):
                    self.report.note(
                        f"chmod o+x {directory}: PostgreSQL does not run as root, its user must pass there"
                    )
                with self.report.step("PostgreSQL is configured") as step:
                    if postgres.initialize(self.settings):
                        step.text = "A PostgreSQL cluster is made"
            else:
                # The directory of the sockets is made together with the cluster otherwise.
                self.settings.socket_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.supervisor.start()
            self.memory.settings = settings_environment(self.settings)
            self.memory.save(self.settings)
        else:
            self._tell_what_runs()

    def _check_own_database(self) -> None:
        """Refuse a server of the user's own that cannot be used as it is, before anything is started."""
        if postgres.is_embedded(self.settings):
            return
        check_secrets(self.settings, (), [f"shop_{role}" for role in ROLES])
        check_database(self.settings, "owner")
        check_database(self.settings, "airflow", postgres.AIRFLOW_DATABASE)

    def _sweep(self) -> None:
        """Without a supervisor nothing of this instance should run: it was killed, and its programs were orphaned."""
        orphans = [one.process for one in instance_processes(self.settings.root)]
        if orphans:
            self.report.note(f"{len(orphans)} processes of an earlier run had lost their supervisor and are ended")
            end_processes(orphans, patience_seconds=10)

    def _forget_drivers(self) -> None:
        """Nothing runs that the Spark master could find again: it would wait for the dead, and miss who registers."""
        shutil.rmtree(self.settings.root / "spark" / "recovery", ignore_errors=True)

    def _tell_what_runs(self) -> None:
        """Say it, and go on with the settings that it was started with."""
        running = [state for state in self.supervisor.states().values() if state.is_running]
        self.report.line(f"{len(running)} processes run already: {', '.join(state.name for state in running)}")
        now = settings_environment(self.settings)
        changed = sorted(
            name for name in {*now, *self.memory.settings} if now.get(name) != self.memory.settings.get(name)
        )
        if changed:
            self.report.note(f"{', '.join(changed)} changed since the start: `make down`, then `make up`, to apply it")
            self.settings = running_settings(self.settings)
            self.api = AirflowApi(self.settings)

    # Services -------------------------------------------------------------------------------------------------------

    def _start_postgres(self) -> None:
        if postgres.is_embedded(self.settings):
            with self.report.step("PostgreSQL") as step:
                self._start("postgres")
                self._wait(lambda: postgres.is_ready(self.settings), "PostgreSQL", ["postgres"])
                postgres.provision(self.settings)
                step.text = "PostgreSQL answers; roles and databases are in place"
        with self.report.step("The schema is up to date") as step:
            if changes := prepare_schema(self.settings):
                step.text = f"The schema: {changes}"

    def _start_spark(self) -> None:
        if "spark" not in self.services:
            return
        with self.report.step("Spark: master and worker are ready"):
            self._start("spark")
            self._wait(
                lambda: alive_workers(self.settings) > 0,
                "spark-master and spark-worker",
                ["spark-master", "spark-worker"],
            )

    def _prepare_airflow(self) -> None:
        """Prepare the metadata database, if it is not what it was prepared for."""
        fingerprint = self._airflow_fingerprint()
        if self.memory.bootstrapped == fingerprint:
            return
        with self.report.step("Airflow's metadata database is prepared"):
            bootstrap_airflow(self.settings)
        self.memory.bootstrapped = fingerprint
        self.memory.save(self.settings)

    def _airflow_fingerprint(self) -> str:
        versions = [version(name) for name in ("apache-airflow", "apache-airflow-providers-fab")]
        content = json.dumps([versions, airflow_connections(self.settings), ROLE_PERMISSIONS])
        return hashlib.sha256(content.encode()).hexdigest()

    def _start_airflow(self) -> None:
        with self.report.step("Airflow: API server, scheduler, DAG processor and triggerer are healthy"):
            self._start("airflow")
            names = [program.name for program in expected_programs(self.settings) if program.group == "airflow"]
            self._wait(lambda: not self.api.unhealthy(), "Airflow", names)
        with self.report.step("Airflow has read the DAGs") as step:
            self._wait(lambda: set(DAGS) <= set(self.api.dags()), "the DAGs", ["dag-processor"], more=self._broken_dags)
            step.text = f"Airflow has read {len(self.api.dags())} DAGs"
        for file, traceback in self.api.import_errors().items():
            self.report.note(f"{file} cannot be read: {traceback.strip().splitlines()[-1]}")

    def _broken_dags(self) -> str:
        return "\n".join(f"{file}:\n{traceback}" for file, traceback in self.api.import_errors().items())

    def _start(self, group: str) -> None:
        names = [program.name for program in expected_programs(self.settings) if program.group == group]
        started = self.supervisor.start_programs(names)
        if started and not self.was_down:
            self.report.note(f"was down, is started again: {', '.join(started)}")

    def _wait(
        self,
        is_done: Callable[[], bool],
        what: str,
        programs: Iterable[str],
        *,
        timeout_seconds: float = 180.0,
        more: Callable[[], str] = lambda: "",
    ) -> None:
        """Wait for a condition while programs run; give up when one of them cannot stay up."""
        deadline = time.monotonic() + timeout_seconds
        pids: dict[str, set[int]] = {name: set() for name in programs}
        while not is_done():
            states = self.supervisor.states()
            for name, seen in pids.items():
                state = states.get(name)
                if state is None:
                    continue
                if state.pid:
                    seen.add(state.pid)
                if state.state == "FATAL" or len(seen) > 1 + _MOST_RESTARTS:
                    raise self._failure(name, f"{name} does not stay up")
            if time.monotonic() > deadline:
                raise self._failure(next(iter(pids)), f"{what} not ready within {timeout_seconds:.0f} s", more())
            time.sleep(0.2)

    def _failure(self, program: str, what: str, more: str = "") -> PlatformError:
        log = self.settings.log_dir / f"{program}.log"
        details = "\n".join(part for part in (more, f"the end of {log}:", *tail(log, 25)) if part)
        return PlatformError(
            f"{what}\n{details}\n",
            f"Mend what it names, then run `make up` again; all of it: `make logs NAME={program}`",
        )

    # The way of the first events --------------------------------------------------------------------------------------

    def _follow_the_first_events(self) -> None:
        """Unpause the DAGs in the order of the data, and see each do its part once."""
        before = self._value("newest_batch") or 0
        began = datetime.now(UTC)
        is_fed = self._unpause(STREAM) & self._unpause(FEED)
        follows = is_fed and (self.was_down or not self._stream_is_alive())
        if follows:
            # Its sensor waits for the stream meanwhile.
            self._run_if_not_due(FEED, {"duration_seconds": self._seconds_to_next_feed()})
            with self.report.step("The stream is alive"):
                self._wait(self._stream_is_alive, "the stream", ["spark-worker", "scheduler"], more=self._stream_error)
            with self.report.step("The first events are in shop.events"):
                has_events = lambda: (self._value("newest_batch") or 0) > before  # noqa: E731
                self._wait(has_events, "the first events", ["scheduler", "triggerer"], more=self._stream_error)
        if self._unpause(REFRESH) and follows:
            self._run_if_not_due(REFRESH, {})
            refreshed = partial(self._value, "refreshed_with", batch_id=before + 1)
            held = partial(self._value, "held_since", began=began)
            with self.report.step("A materialized view is refreshed") as step:
                self._wait(lambda: (refreshed() or held()) is not None, "a refreshed view", ["scheduler"])
                step.text = f"{refreshed()} is refreshed" if refreshed() else "The views keep their rows of before"
            if not refreshed():
                self.report.note(f"a check keeps new rows from being published: {held()}. See docs/quality.md")
        if self._unpause(QUALITY) and follows:
            self._run_if_not_due(QUALITY, {})
            with self.report.step("A suite has validated the data") as step:
                checked = partial(self._value, "checked_since", began=began)
                self._wait(lambda: checked() is not None, "results of check_quality", ["scheduler"])
                step.text = f"The suite {checked()} has validated the data"
        for dag_id in sorted(self.api.dags()):
            self._unpause(dag_id)
        self.memory.paused_by_down = []
        self.memory.save(self.settings)

    def _unpause(self, dag_id: str) -> bool:
        """Unpause a DAG unless a person has paused it; returns whether it is active then."""
        is_paused = self.api.dags()[dag_id]
        if is_paused and (dag_id not in self.memory.introduced or dag_id in self.memory.paused_by_down):
            self.api.set_paused(dag_id, False)
            is_paused = False
        elif is_paused:
            self.report.note(f"{dag_id} stays paused, as somebody paused it in the UI")
        if dag_id not in self.memory.introduced:
            self.memory.introduced.append(dag_id)
            self.memory.save(self.settings)
        return not is_paused

    def _run_if_not_due(self, dag_id: str, conf: dict[str, Any]) -> None:
        """Trigger a run, unless one is under way or the schedule makes one this very moment."""
        if not self.api.active_runs(dag_id) and not self.api.is_due(dag_id):
            self.api.trigger(dag_id, conf, "Triggered by make up")

    def _seconds_to_next_feed(self) -> int:
        return max(30, int(_FEED_EVERY_SECONDS - time.time() % _FEED_EVERY_SECONDS))

    def _stream_is_alive(self) -> bool:
        return stream_status(self.settings.dsn("ops")).is_alive

    def _stream_error(self) -> str:
        error = stream_status(self.settings.dsn("ops")).error
        return f"the stream's last driver ended with: {error}" if error else ""

    def _value(self, query: str, **parameters: Any) -> Any:
        with transaction(self.settings.dsn("ops")) as cursor:
            cursor.execute(_SQL[query], parameters)
            row = cursor.fetchone()
        return row[0] if row else None


def bootstrap_airflow(settings: Settings) -> None:
    """Prepare the metadata database in a process of its own; its output goes to ``airflow-bootstrap.log``.

    Raises
    ------
    PlatformError
        With the end of that output.
    """
    log = settings.log_dir / "airflow-bootstrap.log"
    with log.open("wb") as output:
        done = subprocess.run(
            [sys.executable, "-m", "include.airflow.bootstrap"],
            cwd=REPOSITORY,
            env=airflow_environment(settings),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    if done.returncode:
        lines = "\n".join(tail(log, 25))
        raise PlatformError(f"Airflow's metadata database cannot be prepared; the end of {log}:\n{lines}")
