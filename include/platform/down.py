"""``make down``: the stream drained, everything that ``make up`` started ended, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable

from include.errors import PlatformError
from include.platform import postgres
from include.platform.home import Memory, exclusive
from include.platform.processes import end_processes, instance_processes, leftovers_of, running_tasks
from include.platform.programs import expected_programs
from include.platform.report import Report
from include.platform.rest import AirflowApi
from include.platform.supervisor import ProgramState, Supervisor
from include.platform.up import FEED, STREAM
from include.settings import Settings
from include.stream.status import StreamStatus, set_wish, stream_status

# All of it together stays below thirty seconds.
_DRAIN_SECONDS = 10.0
_RUN_SECONDS = 7.0
_TASK_SECONDS = 2.0
_STOP_SECONDS = 6.0
_POSTGRES_SECONDS = 8.0
_SWEEP_SECONDS = 2.0


class Shutdown:
    """One call of ``make down``; each part works when the parts before it found nothing to do."""

    def __init__(self, settings: Settings, report: Report) -> None:
        self.settings = settings
        self.report = report
        self.supervisor = Supervisor(settings)
        self.api = AirflowApi(settings, timeout_seconds=3.0)
        self.is_drained = False

    def run(self) -> bool:
        """Stop; returns whether there was anything to stop."""
        with exclusive(self.settings, "make down"), self.report.live():
            if not self.supervisor.is_up:
                return self._sweep()
            self._ask_airflow("Feed and stream are paused", self._pause)
            if self._postgres_answers():
                self._drain()
            self._ask_airflow("Airflow's running tasks are put off", self._put_off_tasks)
            # The worker says goodbye to the master: otherwise a later master waits for it to come back.
            first = [one.name for one in expected_programs(self.settings) if one.group in {"airflow", "metrics"}]
            self._stop("Airflow and Spark's worker are stopped", [*first, "spark-worker"])
            self._stop("Spark's master is stopped", ["spark-master"])
            if postgres.is_embedded(self.settings):
                self._stop("PostgreSQL is stopped", ["postgres"], timeout_seconds=_POSTGRES_SECONDS)
            self.supervisor.shutdown()
            self._sweep()
            return True

    def _ask_airflow(self, what: str, ask: Callable[[], None]) -> None:
        """Do something through Airflow, if it is there to be asked."""
        if not self._state("api-server").is_running:
            return
        try:
            with self.report.step(what):
                ask()
        except PlatformError as error:
            self.report.note(f"Airflow cannot be asked, and is stopped as it is: {error}")

    def _pause(self) -> None:
        """Keep Airflow from starting the stream and its feed again; `make up` undoes it."""
        memory = Memory.load(self.settings)
        paused = self.api.dags()
        active = [dag_id for dag_id in (FEED, STREAM) if paused.get(dag_id) is False]
        memory.paused_by_down = sorted({*memory.paused_by_down, *active})
        memory.save(self.settings)
        for dag_id in active:
            self.api.set_paused(dag_id, True)
        for run_id in self.api.active_runs(FEED):
            self.api.end_run(FEED, run_id, "Ended early by make down; the files that it delivered are whole.")

    def _put_off_tasks(self) -> None:
        """End the tasks while there is somebody to tell: one whose end was not recorded blocks its DAG for a while."""
        deadline = time.monotonic() + _RUN_SECONDS
        for run_id in self.api.active_runs(STREAM):
            # Its task notices by itself that the driver has ended. The run does not: its DAG is paused.
            while self.is_drained and self.api.task_pids(STREAM, run_id) and time.monotonic() < deadline:
                time.sleep(0.2)
            self.api.end_run(STREAM, run_id, "Ended by make down; the next make up starts the stream again.")
        end_processes(running_tasks(self._state("scheduler").pid), patience_seconds=_TASK_SECONDS)

    def _state(self, program: str) -> ProgramState:
        return self.supervisor.states().get(program, ProgramState(program, "STOPPED", 0, 0, ""))

    def _postgres_answers(self) -> bool:
        try:
            stream_status(self.settings.dsn("owner"))
        except PlatformError:
            return False
        return True

    def _drain(self) -> None:
        """Let the stream load what waits and end by itself, within its time."""
        dsn = self.settings.dsn("owner")
        with self.report.step("The stream is drained") as step:
            set_wish(dsn, "drain")
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
            end_processes(leftovers_of(self.settings.root, *names), patience_seconds=_SWEEP_SECONDS)

    def _sweep(self) -> bool:
        """End whatever carries the mark of this instance and is still there."""
        leftovers = [one.process for one in instance_processes(self.settings.root)]
        if leftovers:
            with self.report.step(f"{len(leftovers)} leftover processes are ended"):
                end_processes(leftovers, patience_seconds=_STOP_SECONDS)
        return bool(leftovers)
