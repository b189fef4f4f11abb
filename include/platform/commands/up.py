"""``make up``: start the platform from any state, and follow the first events through all of its stages."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from typing import Any

from include.db import load_queries, transaction
from include.errors import PlatformError
from include.platform.commands.checks import check_machine, check_ports
from include.platform.commands.logs import tail
from include.platform.commands.report import Report
from include.platform.installation.java import prepare_java
from include.platform.instance.environment import airflow_environment, settings_environment
from include.platform.instance.home import Memory, claim_home, exclusive, make_directories
from include.platform.instance.secrets import admin_password
from include.platform.programs.catalog import expected_programs
from include.platform.programs.preflight import check_database, check_secrets
from include.platform.programs.prepare import prepare_schema
from include.platform.programs.processes import end_processes, instance_processes
from include.platform.programs.supervisor import Supervisor, running_settings
from include.platform.services import postgres
from include.platform.services.airflow_api import AirflowApi
from include.platform.services.connections import airflow_connections
from include.platform.services.pools import POOLS
from include.platform.services.roles import ROLE_PERMISSIONS
from include.platform.services.spark import alive_workers
from include.platform.services.spark_security import secure_spark
from include.settings import REPOSITORY, ROLES, Settings
from include.stream.supervision.status import stream_status

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
        Settings of the instance.
    report:
        Shows the steps.
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
        self._is_given_up = threading.Event()

    def run(self) -> None:
        """Start everything that is not running yet.

        Raises
        ------
        ShopstreamError
            When a step fails, with the process that failed, the end of its log and the remedy.
        """
        # Check the machine first: on a full disk nothing can be created.
        check_machine(self.settings)
        claim_home(self.settings, passable=postgres.server_user() is not None)
        with exclusive(self.settings, "make up"), self.report.live():
            self._prepare()
            with ThreadPoolExecutor(max_workers=1) as threads:
                spark = threads.submit(self._start_spark)
                try:
                    self._start_postgres()
                    if "metrics" in self.services:
                        # Do not wait for metrics: they answer within a second, and no data passes through them.
                        self._start("metrics")
                    self._prepare_airflow()
                    if "airflow" in self.services:
                        self._start_airflow()
                    spark.result()
                except BaseException:
                    # Leaving the pool waits for its thread. Make that thread give up, to show a failure or Ctrl-C now.
                    self._is_given_up.set()
                    raise
            if "airflow" in self.services:
                self._follow_the_first_events()

    # Preparation ----------------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        make_directories(self.settings)
        self.memory = Memory.load(self.settings)
        self.was_down = not self.supervisor.is_up
        if self.was_down:
            if os.geteuid() == 0:
                self.report.note(
                    "You are root: everything but PostgreSQL runs as root, too, and reads files that others deliver. "
                    "Root is not needed; prefer an ordinary user"
                )
            self._sweep()
            self._forget_drivers()
            check_ports(self.settings)
            self._check_own_database()
            with self.report.step("Java") as step:
                step.text = f"Java {prepare_java(self.settings)}"
            postgres.ensure_passwords(self.settings.passfile)
            if postgres.is_embedded(self.settings):
                postgres.complete_passwords(self.settings.passfile)
            admin_password(self.settings)
            secure_spark(self.settings)
            if postgres.is_embedded(self.settings):
                for directory in postgres.let_server_through(self.settings):
                    self.report.note(
                        f"chmod o+x {directory}: PostgreSQL does not run as root, and its user must traverse it. The "
                        f"mode stays; `chmod o-x {directory}` undoes it when Shopstream is not needed any more"
                    )
                with self.report.step("PostgreSQL is configured") as step:
                    if postgres.initialize(self.settings):
                        step.text = "A PostgreSQL cluster is created"
            else:
                # With an embedded server, initialize() creates the socket directory.
                postgres.make_private(self.settings.socket_dir)
            self.supervisor.start()
            self.memory.settings = settings_environment(self.settings)
            self.memory.save(self.settings)
        else:
            self._show_what_runs()

    def _check_own_database(self) -> None:
        """Check a user-provided database server before anything is started."""
        if postgres.is_embedded(self.settings):
            return
        check_secrets(self.settings, (), [f"shop_{role}" for role in ROLES])
        check_database(self.settings, "owner")
        check_database(self.settings, "airflow", postgres.AIRFLOW_DATABASE)

    def _sweep(self) -> None:
        """End the programs of this instance that a killed supervisor has orphaned."""
        orphans = [one.process for one in instance_processes(self.settings.root)]
        if orphans:
            self.report.note(f"{len(orphans)} processes of an earlier run had lost their supervisor and are ended")
            end_processes(orphans, timeout_seconds=10)

    def _forget_drivers(self) -> None:
        """Delete the Spark master's recovery state, since no worker or driver of an earlier run is left.

        With that state the master would wait for dead workers and could miss one that registers meanwhile.
        """
        shutil.rmtree(self.settings.root / "spark" / "recovery", ignore_errors=True)

    def _show_what_runs(self) -> None:
        """Report the running programs, and continue with the settings that they were started with."""
        running = [state for state in self.supervisor.states().values() if state.is_running]
        self.report.line(f"{len(running)} processes run already: {', '.join(state.name for state in running)}")
        now = settings_environment(self.settings)
        changed = sorted(
            name for name in {*now, *self.memory.settings} if now.get(name) != self.memory.settings.get(name)
        )
        if changed:
            self.report.note(f"{', '.join(changed)} changed since the start: to apply it, `make down`, then `make up`")
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
        """Prepare Airflow's metadata database, unless it was prepared for the same versions and settings."""
        fingerprint = self._airflow_fingerprint()
        if self.memory.bootstrapped == fingerprint:
            return
        with self.report.step("Airflow's metadata database is prepared"):
            lines = bootstrap_airflow(self.settings)
        for line in lines:
            self.report.note(line)
        self.memory.bootstrapped = fingerprint
        self.memory.save(self.settings)

    def _airflow_fingerprint(self) -> str:
        versions = [version(name) for name in ("apache-airflow", "apache-airflow-providers-fab")]
        content = json.dumps([versions, airflow_connections(self.settings), ROLE_PERMISSIONS, POOLS])
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
            self.report.note(f"{file} cannot be imported: {traceback.strip().splitlines()[-1]}")

    def _broken_dags(self) -> str:
        return "\n".join(f"{file}:\n{traceback}" for file, traceback in self.api.import_errors().items())

    def _start(self, group: str) -> None:
        names = [program.name for program in expected_programs(self.settings) if program.group == group]
        started = self.supervisor.start_programs(names)
        if started and not self.was_down:
            self.report.note(f"started again after being down: {', '.join(started)}")

    def _wait(
        self,
        is_done: Callable[[], bool],
        what: str,
        programs: Iterable[str],
        *,
        timeout_seconds: float = 180.0,
        more: Callable[[], str] = lambda: "",
    ) -> None:
        """Wait for a condition while programs run; fail when one of them does not stay up."""
        deadline = time.monotonic() + timeout_seconds
        pids: dict[str, set[int]] = {name: set() for name in programs}
        while not is_done():
            if self._is_given_up.is_set():
                raise PlatformError(f"stopped waiting for {what}: another step failed")
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
            f"Fix the cause it names, then run `make up` again; for the whole log, `make logs NAME={program}`",
        )

    # The first events -------------------------------------------------------------------------------------------------

    def _follow_the_first_events(self) -> None:
        """Unpause the DAGs in the order in which data pass through them, and wait for the first result of each."""
        before = self._value("newest_batch") or 0
        began = datetime.now(UTC)
        has_stream, has_feed = self._unpause(STREAM), self._unpause(FEED)
        starts = has_stream and (self.was_down or not self._stream_is_alive())
        follows = starts and has_feed
        if follows:
            # Trigger the feed first: its sensor waits for the stream.
            self._run_if_not_due(FEED, {"duration_seconds": self._seconds_to_next_feed()})
        if starts:
            with self.report.step("The stream is alive"):
                self._wait(self._stream_is_alive, "the stream", ["spark-worker", "scheduler"], more=self._stream_error)
        if follows:
            with self.report.step("The first events are in shop.events"):
                has_events = lambda: (self._value("newest_batch") or 0) > before  # noqa: E731
                self._wait(has_events, "the first events", ["scheduler", "triggerer"], more=self._stream_error)
        if self._unpause(REFRESH) and follows:
            self._run_if_not_due(REFRESH, {})
            refreshed = partial(self._value, "refreshed_with", batch_id=before + 1)
            held = partial(self._value, "held_since", began=began)
            with self.report.step("A materialized view is refreshed") as step:
                self._wait(lambda: (refreshed() or held()) is not None, "a refreshed view", ["scheduler"])
                step.text = f"{refreshed()} is refreshed" if refreshed() else "The views keep their previous rows"
            if not refreshed():
                self.report.note(f"a failed check holds back the new rows: {held()}. See docs/quality.md")
        if self._unpause(QUALITY) and follows:
            self._run_if_not_due(QUALITY, {})
            with self.report.step("A suite has validated the data") as step:
                checked = partial(self._value, "checked_since", began=began)
                self._wait(lambda: checked() is not None, "results of check_quality", ["scheduler"])
                step.text = f"The suite {checked()} has validated the data"
        for dag_id in sorted(set(self.api.dags()) - {STREAM, FEED, REFRESH, QUALITY}):
            self._unpause(dag_id)
        self.memory.paused_by_down = []
        self.memory.save(self.settings)

    def _unpause(self, dag_id: str) -> bool:
        """Unpause a DAG unless a user has paused it, and return whether it is active."""
        is_paused = self.api.dags()[dag_id]
        if is_paused and (dag_id not in self.memory.introduced or dag_id in self.memory.paused_by_down):
            self.api.set_paused(dag_id, False)
            is_paused = False
        elif is_paused:
            self.report.note(f"{dag_id} stays paused, because a user paused it in the UI")
        if dag_id not in self.memory.introduced:
            self.memory.introduced.append(dag_id)
            self.memory.save(self.settings)
        return not is_paused

    def _run_if_not_due(self, dag_id: str, conf: dict[str, Any]) -> None:
        """Trigger a run, unless one is active or the scheduler is about to start one."""
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


def bootstrap_airflow(settings: Settings) -> list[str]:
    """Prepare the metadata database in a separate process, whose output goes to ``airflow-bootstrap.log``.

    Returns
    -------
    list of str
        Messages about Connections that were left unchanged because a user had edited them.

    Raises
    ------
    PlatformError
        When it fails, with the end of that output.
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
    output_lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return [line for line in output_lines if line.startswith("The connection ")]
