"""``make down``: drain the stream and stop everything that ``make up`` started, and nothing else."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import psycopg2

from include.alerts.planned import begin_downtime
from include.errors import PlatformError
from include.platform.commands.report import Report
from include.platform.commands.up import FEED, STREAM
from include.platform.instance.home import Memory, exclusive, has_lock
from include.platform.programs.catalog import expected_programs
from include.platform.programs.processes import end_processes, instance_processes, leftovers_of, running_tasks
from include.platform.programs.supervisor import ProgramState, Supervisor
from include.platform.services import postgres
from include.platform.services.airflow_api import AirflowApi
from include.settings import Settings
from include.stream.supervision.status import StreamStatus, set_desired_state, stream_status

# Together these stay below thirty seconds, unless PostgreSQL has much to write. It gets more time, because a killed
# server has to recover at its next start.
_DRAIN_SECONDS = 10.0
_RUN_SECONDS = 7.0
_TASK_SECONDS = 2.0
_STOP_SECONDS = 6.0
_POSTGRES_SECONDS = 62.0
_SWEEP_SECONDS = 2.0


class Shutdown:
    """One call of ``make down``. Each step also works when the steps before it found nothing to do."""

    def __init__(self, settings: Settings, report: Report) -> None:
        self.settings = settings
        self.report = report
        self.supervisor = Supervisor(settings)
        self.api = AirflowApi(settings, timeout_seconds=3.0)
        self.is_drained = False

    def run(self) -> bool:
        """Stop the platform and return whether there was anything to stop."""
        # Where no lifecycle command has ever run there is nothing to lock, and `make down` creates no file.
        lock = exclusive(self.settings, "make down") if has_lock(self.settings) else contextlib.nullcontext()
        with lock, self.report.live():
            if not self.supervisor.is_up:
                return self._sweep()
            answers = self._postgres_answers()
            if answers:
                # Keep this first: the shutdown that follows must not raise alerts.
                begin_downtime(self.settings.dsn("owner"), "make down")
            self._ask_airflow("Feed and stream are paused", self._pause)
            if answers:
                self._drain()
            self._ask_airflow("Airflow's running tasks are ended", self._put_off_tasks)
            # Stop the worker before the master, to let it unregister. Otherwise a later master waits for its return.
            first = [one.name for one in expected_programs(self.settings) if one.group in {"airflow", "metrics"}]
            self._stop("Airflow and Spark's worker are stopped", [*first, "spark-worker"])
            self._stop("Spark's master is stopped", ["spark-master"])
            if postgres.is_embedded(self.settings):
                self._stop_postgres()
            self.supervisor.shutdown()
            self._sweep()
            return True

    def _ask_airflow(self, what: str, ask: Callable[[], None]) -> None:
        """Do something through Airflow's API, if the API server is running."""
        if not self._state("api-server").is_running:
            return
        try:
            with self.report.step(what):
                ask()
        except PlatformError as error:
            self.report.note(f"Airflow does not answer and is stopped as it is: {error}")

    def _pause(self) -> None:
        """Pause the stream and its feed, which keeps Airflow from starting them again; `make up` undoes this."""
        memory = Memory.load(self.settings)
        paused = self.api.dags()
        active = [dag_id for dag_id in (FEED, STREAM) if paused.get(dag_id) is False]
        memory.paused_by_down = sorted({*memory.paused_by_down, *active})
        try:
            memory.save(self.settings)
        except OSError as error:
            self.report.note(f"{', '.join(active)} will stay paused at the next start; unpause them then: {error}")
        for dag_id in active:
            self.api.set_paused(dag_id, True)
        for run_id in self.api.active_runs(FEED):
            self.api.end_run(FEED, run_id, "Ended early by make down; the files that it delivered are complete.")

    def _put_off_tasks(self) -> None:
        """End the tasks while Airflow can still record it: a task without a recorded end blocks its DAG for a while."""
        deadline = time.monotonic() + _RUN_SECONDS
        for run_id in self.api.active_runs(STREAM):
            # The task notices by itself that the driver has ended. The run does not, because its DAG is paused.
            while self.is_drained and self.api.task_pids(STREAM, run_id) and time.monotonic() < deadline:
                time.sleep(0.2)
            self.api.end_run(STREAM, run_id, "Ended by make down; the next make up starts the stream again.")
        end_processes(running_tasks(self._state("scheduler").pid), timeout_seconds=_TASK_SECONDS)

    def _state(self, program: str) -> ProgramState:
        return self.supervisor.states().get(program, ProgramState(program, "STOPPED", 0, 0, ""))

    def _postgres_answers(self) -> bool:
        try:
            stream_status(self.settings.dsn("owner"))
        except PlatformError:
            return False
        except psycopg2.Error as error:
            # The schema belongs to another version of the code. Its programs must still be stopped.
            self.report.note(f"The stream cannot be drained; waiting files are loaded at the next start: {error}")
            return False
        return True

    def _drain(self) -> None:
        """Let the stream load the waiting files and end by itself, within a time limit."""
        dsn = self.settings.dsn("owner")
        with self.report.step("The stream is drained") as step:
            set_desired_state(dsn, "drain")
            deadline = time.monotonic() + _DRAIN_SECONDS
            while (status := stream_status(dsn)).is_alive and time.monotonic() < deadline:
                time.sleep(0.1)
            self.is_drained = not status.is_alive
            step.text = self._describe(status)

    @staticmethod
    def _describe(status: StreamStatus) -> str:
        if status.is_alive:
            return f"The stream is stopped while it drains; {status.backlog_files} files are loaded at the next start"
        if status.backlog_files:
            return f"The stream has ended; {status.backlog_files} files wait and are loaded at the next start"
        return "The stream is drained" if status.ended_at else "The stream is not running"

    def _stop(self, what: str, names: list[str], *, timeout_seconds: float = _STOP_SECONDS) -> None:
        with self.report.step(what):
            self.supervisor.stop_programs(names, timeout_seconds=timeout_seconds)
            end_processes(leftovers_of(self.settings.root, *names), timeout_seconds=_SWEEP_SECONDS)

    def _stop_postgres(self) -> None:
        """Write a checkpoint while PostgreSQL still serves, which keeps the checkpoint of its shutdown short."""
        with self.report.step("PostgreSQL is stopped") as step:
            if not postgres.checkpoint(self.settings):
                self.report.note("PostgreSQL could not write a checkpoint before its shutdown")
            self.supervisor.stop_programs(["postgres"], timeout_seconds=_POSTGRES_SECONDS)
            if postgres.was_killed(self.settings):
                step.text = "PostgreSQL was killed: it did not stop in time, and recovers at the next start"
            end_processes(leftovers_of(self.settings.root, "postgres"), timeout_seconds=_SWEEP_SECONDS)

    def _sweep(self) -> bool:
        """End every remaining process that carries the mark of this instance."""
        leftovers = [one.process for one in instance_processes(self.settings.root)]
        if leftovers:
            with self.report.step(f"{len(leftovers)} leftover processes are ended"):
                end_processes(leftovers, timeout_seconds=_STOP_SECONDS)
        return bool(leftovers)
