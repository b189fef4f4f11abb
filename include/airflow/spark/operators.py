"""Provide the operator that runs the streaming job on a Spark cluster and reports on it."""

from __future__ import annotations

import time
from typing import Any

from airflow.providers.apache.spark.hooks.spark_submit import SparkSubmitHook
from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk import BaseHook, BaseOperatorLink
from airflow.sdk.exceptions import AirflowException

from include.airflow.connections import OPS_CONN_ID, SPARK_CONN_ID, dsn_of
from include.airflow.spark.clusters import Cluster, cluster_of
from include.airflow.spark.links import DriverLogLink, SparkUiLink
from include.airflow.spark.ui import request
from include.db import AWAY
from include.errors import PlatformError
from include.settings import Settings
from include.stream.supervision.status import StreamStatus, newest_driver_id, stream_status

_POLL_SECONDS = 5.0
_UNKNOWN_TO_MASTER = "NOT_FOUND"
# The master has restarted the driver of a lost worker under a new id, which it does not report.
_RELAUNCHED = "RELAUNCHING"
# A master that recovers from its files is available again within half a minute.
_MASTER_TIMEOUT_SECONDS = 120.0


class _SupervisingHook(SparkSubmitHook):
    """Submit with ``--supervise``, so that the worker restarts a driver that dies.

    This cannot be set as a conf, since ``spark-submit`` overwrites it.
    """

    def _build_spark_submit_command(self, application: str) -> list[str]:
        spark_submit, *arguments = super()._build_spark_submit_command(application)
        # Kubernetes has no worker that could restart the driver.
        supervise = [] if self._is_kubernetes else ["--supervise"]
        return [spark_submit, *supervise, *arguments]


class StreamSubmitOperator(SparkSubmitOperator):
    """Run a PySpark job whose driver lives on the cluster and not in the Airflow task.

    The stock ``SparkSubmitOperator`` keeps the driver's id in the task state and attaches to the driver again when
    Airflow comes back after a crash. In cluster mode it lacks what this class adds: a log line every
    ``report_seconds`` with what the stream has recorded in Postgres, the end of the driver's log when the driver fails,
    and links to the Spark UI and that log.

    On a standalone cluster, the worker immediately restarts a driver that dies (``--supervise``), under the same id and
    without Airflow, and the task continues to watch it. On Kubernetes, the next try of the task starts a new driver.

    The Spark connection decides where and how the job runs; see
    :class:`include.airflow.spark.connection_extra.SparkExtra`.

    Parameters
    ----------
    job:
        Path of the job within the repository.
    application_args:
        Arguments of the job (templated).
    ops_conn_id:
        Airflow connection of the analytics database, role ops.
    report_seconds:
        Time between two log lines.
    options:
        Options of ``SparkSubmitOperator``.
    """

    operator_extra_links = (SparkUiLink(), DriverLogLink())

    def __init__(
        self,
        *,
        job: str,
        ops_conn_id: str = OPS_CONN_ID,
        report_seconds: float = 10.0,
        conn_id: str = SPARK_CONN_ID,
        **options: Any,
    ) -> None:
        super().__init__(conn_id=conn_id, durable=True, **options)
        self.job = job
        self.ops_conn_id = ops_conn_id
        self.report_seconds = report_seconds
        self.links: dict[str, str] = {}
        self._epoch_before: int | None = None

    def execute(self, context: Any) -> None:
        """Submit the job, or attach to the driver of an earlier try, and watch it until it ends."""
        settings = Settings.from_env()
        cluster = cluster_of(BaseHook.get_connection(self._conn_id), settings)
        cluster.check_reachable()
        self._prepare(settings, cluster)
        super().execute(context)

    def _prepare(self, settings: Settings, cluster: Cluster) -> None:
        """Fill in the stock operator's arguments."""
        self._cluster = cluster
        submission = cluster.submission(settings, self.job, self.application_args or [])
        self.application = submission.application
        self.application_args = submission.arguments
        self.conf = {**submission.conf, **(self.conf or {})}
        self._java_class = submission.java_class
        self._driver_memory = submission.driver_memory
        self._pod = submission.pod
        self._track_driver_via_k8s_api = submission.pod is not None
        self._submit_env = submission.environment
        self.properties_file = submission.properties_file

    def _get_hook(self) -> SparkSubmitHook:
        hook = super()._get_hook()
        # Change the class afterwards, because the stock operator builds its hook from some thirty arguments.
        hook.__class__ = _SupervisingHook
        return hook

    @property
    def _driver_id(self) -> str:
        """The driver that is watched, and ended with the task; ``namespace:pod`` on Kubernetes."""
        hook = self._backend.hook
        if hook._is_kubernetes:
            return f"{hook._connection['namespace']}:{hook._kubernetes_driver_pod}"
        return str(hook._driver_id)

    @_driver_id.setter
    def _driver_id(self, driver_id: str) -> None:
        hook = self._backend.hook
        if hook._is_kubernetes:
            hook._kubernetes_driver_pod = driver_id.rpartition(":")[2]
        else:
            hook._driver_id = driver_id

    def submit_job(self, context: Any) -> str | None:
        """Start a driver; return its id."""
        self._epoch_before = stream_status(dsn_of(self.ops_conn_id)).epoch
        if self._pod:
            # Set the id before the pod exists, so that a task that is stopped meanwhile knows which pod to delete.
            self._driver_id = self._pod
        self._backend.hook.submit(self.application, env=self._submit_env)
        self.log.info("Submitted %s as %s", self.job, self._driver_id)
        return self._driver_id

    def _fetch_driver_status(self, url: str, external_id: str) -> str:  # type: ignore[override]
        """Ask a master for the driver's state, without the log line that the stock hook writes each time."""
        answer = request("GET", url, headers=self._cluster.headers).json()
        if answer.get("success"):
            state = answer["driverState"]
            # Once the driver has become the writer, it records its new id in Postgres.
            successor = newest_driver_id(dsn_of(self.ops_conn_id)) if state == _RELAUNCHED else None
            if successor is None or successor <= external_id:
                return state
            self.log.info("The Spark master has relaunched %s as %s", external_id, successor)
            self._driver_id = successor
            return self._fetch_driver_status(url.removesuffix(external_id) + successor, successor)
        if "message" in answer:
            raise RuntimeError(f"the Spark master has no state of {external_id} yet: {answer['message']}")
        # Report the driver as neither running nor finished, so that the next try starts a new one instead of asking for
        # the lost one forever.
        return _UNKNOWN_TO_MASTER

    def poll_until_complete(self, external_id: Any, context: Any) -> None:
        """Watch the driver and report on the stream until it ends.

        Raises
        ------
        AirflowException
            When the driver failed. The message has the error that the stream recorded; the end of the driver's log is
            in the task's log.
        PlatformError
            When the cluster stays unreachable.
        """
        self._driver_id = str(external_id)
        dsn = dsn_of(self.ops_conn_id)
        after_batch_id: int | None = None
        report_at = 0.0
        while self.is_job_active(state := self._status_within_timeout(self._driver_id, context)):
            if time.monotonic() >= report_at:
                report_at = time.monotonic() + self.report_seconds
                self._publish(context, DriverLogLink(), self._cluster.log_page(self._driver_id))
                after_batch_id = self._report(dsn, after_batch_id, context)
            time.sleep(_POLL_SECONDS)
        self._report(dsn, after_batch_id, context)
        recorded = self._recorded_end(dsn)
        if self.is_job_succeeded(state) and not recorded:
            self.log.info("The stream ended as requested.")
            return
        for name, text in self._cluster.log_tails(self._driver_id).items():
            self.log.error("Last lines of %s of %s:\n%s", name, self._driver_id, text)
        raise AirflowException(
            f"The stream's driver ended as {state}.\n{recorded or 'It recorded no error of its own.'}\n"
            f"The last lines of the log of {self._driver_id} are above; the full log is at "
            f"{self.links.get(DriverLogLink.name)}"
        )

    def _status_within_timeout(self, driver_id: str, context: Any) -> str:
        give_up_at = time.monotonic() + _MASTER_TIMEOUT_SECONDS
        # PostgreSQL errors count, too: after a relaunch the id of the driver is read from there.
        passing: tuple[type[Exception], ...] = (*self._cluster.passing_errors, *AWAY)
        while True:
            try:
                return self.get_job_status(driver_id, context)
            except passing as error:
                if time.monotonic() >= give_up_at:
                    raise PlatformError(
                        f"the Spark cluster gave no state of {driver_id} for {_MASTER_TIMEOUT_SECONDS:.0f} s: {error}",
                        "Run `make status`; the next try attaches to the driver if it is still running",
                    ) from error
            time.sleep(_POLL_SECONDS)

    def _report(self, dsn: str, after_batch_id: int | None, context: Any) -> int | None:
        """Log one line about what happened since ``after_batch_id``; return the id of the newest batch."""
        try:
            status = stream_status(dsn, window_seconds=self.report_seconds, after_batch_id=after_batch_id)
        except AWAY as error:
            # Do not fail: the stream survives a restart of Postgres, and so must the task that watches it.
            self.log.warning("The state of the stream cannot be read from PostgreSQL: %s", error)
            return after_batch_id
        self.log.info("%s", describe(status))
        self._publish(context, SparkUiLink(), status.ui_url)
        return status.last_batch_id

    def _recorded_end(self, dsn: str) -> str | None:
        """Return what the stream recorded about its end, or None if it ended without an error."""
        try:
            status = stream_status(dsn)
        except AWAY as error:
            return f"The record of its end cannot be read: {error}"
        if status.epoch == self._epoch_before:
            return "It ended before it could take a writer epoch."
        if status.ended_at is None:
            return f"Epoch {status.epoch} recorded no end: it was killed, or another driver has taken over."
        return status.error

    def _publish(self, context: Any, link: BaseOperatorLink, url: str | None) -> None:
        """Show a link immediately; Airflow itself would show it only when the task ends."""
        if url and self.links.get(link.name) != url:
            self.links[link.name] = url
            context["ti"].xcom_push(key=link.xcom_key, value=url)

    def on_kill(self) -> None:
        """Stop the driver, then raise, because Airflow records a task that returns after SIGTERM as a success."""
        hook = self._hook
        if hook is not None and (hook._driver_id or hook._kubernetes_driver_pod):
            # The stock implementation would need curl here.
            self.log.info("Stopping %s: %s", self._driver_id, self._cluster.kill(self._driver_id))
        else:
            super().on_kill()
        raise AirflowException("The task was told to stop, and has told its driver to stop.")


def describe(status: StreamStatus) -> str:
    """Return one log line about the stream; its sums cover the window that ``status`` was read for."""
    if status.epoch is None:
        return "The stream is starting."
    news = (
        f"{status.batches:,} batches, {status.accepted:,} rows accepted, {status.duplicate:,} duplicate, "
        f"{status.rejected:,} rejected, lag {status.lag_seconds:.2f} s"
        if status.batches and status.lag_seconds is not None
        else "nothing new"
    )
    if status.ended_at is not None:
        state = " has ended"
    elif not status.is_alive:
        state = f" sent no heartbeat for {status.heartbeat_age_seconds:.0f} s"
    else:
        state = ""
    return f"Epoch {status.epoch} ({status.mode}){state}: {news}; backlog {status.backlog_files:,} files."
