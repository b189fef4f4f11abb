"""The stream: its state, runs, batches, files and rejects."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from include.airflow.cockpit.models.common import Model

StreamState = Literal[
    "running", "intake_paused", "stuck", "stopping", "draining", "starting", "paused", "drained", "down"
]
DesiredState = Literal["run", "drain", "stop"]


class Sums(Model):
    """Row counts by outcome: read = accepted + duplicate + rejected."""

    read: int
    accepted: int
    duplicate: int
    rejected: int


class Run(Model):
    """One start of the streaming query."""

    epoch: int
    mode: Literal["continuous", "drain"]
    host: str
    pid: int
    driver_id: str | None = Field(description="The driver's id at the Spark master.")
    ui_url: str | None = Field(description="URL of the job's Spark UI.")
    started_at: datetime
    heartbeat_at: datetime = Field(description="Last heartbeat of the driver process.")
    turned_at: datetime | None = Field(description="Last time that the driver's loop looked for new files.")
    ended_at: datetime | None
    error: str | None


class Stream(Model):
    """The state and the desired state of the stream."""

    state: StreamState = Field(
        description="running; intake_paused: alive, but takes in no files (intake_paused_because says why); stuck: "
        "alive, but its loop makes no progress; stopping, draining: on the way to the desired state; starting: should "
        "run since less than two minutes; paused, drained: ended as desired; down: should run, but no driver sends "
        "heartbeats."
    )
    desired_state: DesiredState
    requested_at: datetime | None
    requested_by: str | None
    intake_paused_because: str | None
    epoch: int | None = Field(description="The current writer epoch; null before the first run.")
    run: Run | None = Field(description="The newest run.")
    backlog_files: int = Field(description="Waiting files, in the landing folder or admitted.")
    backlog_bytes: int
    backlog_unknown_since: datetime | None = Field(
        description="null when the backlog is current. Otherwise no driver is alive, this server cannot see the "
        "landing folder, and this is the time at which the backlog was last counted."
    )
    oldest_waiting_since: datetime | None = Field(description="Arrival of the oldest waiting file.")
    lag_seconds: float | None = Field(
        description="Time from arrival to commit of the newest batch, or age of the oldest waiting file, if greater."
    )
    last_batch_id: int | None
    last_committed_at: datetime | None
    newest_event_at: datetime | None
    last_minute: Sums
    restarts_day: int = Field(
        description="Runs that started in the last 24 hours, except the very first run; 1000 at most."
    )
    runs: list[Run] = Field(description="The last 20, newest first.")


class BacklogMinute(Model):
    """The number of waiting files at the end of a minute."""

    minute: datetime
    files: int | None = Field(description="null when they were not counted.")


class Batch(Sums):
    """One committed micro-batch."""

    batch_id: int
    epoch: int
    files: int
    warnings: dict[str, int] = Field(description="Number of accepted rows with a warning, by rule.")
    min_event_time: datetime | None
    max_event_time: datetime | None
    started_at: datetime
    committed_at: datetime
    lag_seconds: float | None
    durations_ms: dict[str, float] = Field(description="Milliseconds by stage, measured by Spark and the sink.")


FileState = Literal["admitted", "loaded", "quarantined", "retracted"]


class Retracted(Sums):
    """The retraction of a file, with the balance that the file had before."""

    retraction_id: int
    done_at: datetime
    done_by: str
    reason: str


class File(Sums):
    """One file with its balance."""

    file_id: int
    name: str
    state: FileState
    size_bytes: int
    arrived_at: datetime
    admitted_at: datetime
    finished_at: datetime | None
    batch_id: int | None
    slices: int = Field(description="Number of batches that have loaded a slice of it; more than one for a large file.")
    attempts: int
    failures: int
    fault: str | None = Field(description="Why it is in quarantine.")
    fault_detail: str | None
    last_error: str | None
    extra_columns: list[str]
    retracted: Retracted | None = Field(
        None, description="Set for a file in the state retracted, whose own balance is now zero."
    )


class RejectReason(Model):
    """The number of rejected rows that broke a rule."""

    reason: str
    rows: int
    meaning: str | None = Field(description="The fault of such rows; null for a reason from an older version.")
    last_seen_at: datetime


class Rejects(Model):
    """Rejected rows of a time window, by reason. A row with two reasons counts for both."""

    minutes: int = Field(description="Length of the window, which ends now.")
    rejected: int = Field(description="Rejected rows in the window, from the ledger.")
    read: int
    reject_share: float | None = Field(description="rejected / read; null when nothing was read.")
    counted: int = Field(
        description="How many of the newest rejected rows in the window were counted by reason, at most 20,000. If "
        "this is less than `rejected`, the counts are a sample, and need to be scaled."
    )
    reasons: list[RejectReason] = Field(description="Most frequent first.")


class FileReject(Model):
    """A reason why rows of a file were rejected."""

    reason: str
    rows: int
    meaning: str | None = Field(description="The fault of such rows; null for a reason from an older version.")
    first_line: int = Field(description="Line number of the first such row in the file.")
    first_raw: str | None = Field(
        description="That row as it was in the file; null for viewers, because it names customers."
    )


class RejectSample(Model):
    """The position of a rejected row and, for users who may act, the row."""

    reject_id: int
    file_id: int
    file_name: str
    line: int
    reasons: list[str]
    rejected_at: datetime
    raw: str | None = Field(description="The row as it was in the file; null for viewers, because it names customers.")
    found: str | None = Field(description="The finding for this reason, such as the rejected value; null for viewers.")
