"""The stream: its state, runs, batches, files and rejects."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from include.airflow.cockpit.models.common import Model

StreamState = Literal[
    "running", "intake_paused", "stuck", "stopping", "draining", "starting", "paused", "drained", "down"
]
Wish = Literal["run", "drain", "stop"]


class Sums(Model):
    """Rows by what became of them: read = accepted + duplicate + rejected."""

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
    driver_id: str | None = Field(description="At the Spark master.")
    ui_url: str | None = Field(description="Of the Spark UI of the job.")
    started_at: datetime
    heartbeat_at: datetime = Field(description="Last sign of life of the driver process.")
    turned_at: datetime | None = Field(description="Last time that the loop asked for new files.")
    ended_at: datetime | None
    error: str | None


class Stream(Model):
    """The state of the stream, and what it is wished to do."""

    state: StreamState = Field(
        description="running; intake_paused: alive, but takes in no files (intake_paused_because says why); stuck: "
        "alive, but its loop does not turn; stopping, draining: on its way to what was wished; starting: wished to run "
        "less than two minutes ago; paused, drained: ended as wished; down: wished to run, but no driver gives a sign "
        "of life."
    )
    wish: Wish
    wished_at: datetime | None
    wished_by: str | None
    intake_paused_because: str | None
    epoch: int | None = Field(description="The current writer epoch; null before the first run.")
    run: Run | None = Field(description="The newest run.")
    backlog_files: int
    backlog_bytes: int
    oldest_waiting_since: datetime | None = Field(
        description="Arrival of the oldest file that is admitted and not loaded."
    )
    lag_seconds: float | None
    last_batch_id: int | None
    last_committed_at: datetime | None
    newest_event_at: datetime | None
    last_minute: Sums
    restarts_day: int = Field(
        description="Runs that started in the last 24 hours, without the first one of all; 1000 at most."
    )
    runs: list[Run] = Field(description="The last 20, newest first.")


class Batch(Sums):
    """One committed micro-batch."""

    batch_id: int
    epoch: int
    files: int
    warnings: dict[str, int] = Field(description="Accepted rows with a warning, by rule.")
    min_event_time: datetime | None
    max_event_time: datetime | None
    started_at: datetime
    committed_at: datetime
    lag_seconds: float | None
    durations_ms: dict[str, float] = Field(description="Milliseconds by stage, as Spark and the sink measured them.")


FileState = Literal["admitted", "loaded", "quarantined"]


class File(Sums):
    """One file with its balance."""

    file_id: int
    name: str
    state: FileState
    size_bytes: int
    arrived_at: datetime
    admitted_at: datetime
    settled_at: datetime | None
    batch_id: int | None
    parts: int = Field(description="Batches that have loaded a part of it: more than one for a large file.")
    attempts: int
    failures: int
    fault: str | None = Field(description="Why it is in quarantine.")
    fault_detail: str | None
    last_error: str | None
    extra_columns: list[str]


class RejectReason(Model):
    """How often a rule was broken."""

    reason: str
    rows: int
    meaning: str | None = Field(description="What is wrong with such a row; null for a reason of an older version.")
    last_seen_at: datetime


class Rejects(Model):
    """Rejected rows of a window, by reason; a row with two reasons counts in both."""

    minutes: int = Field(description="Length of the window that ends now.")
    rejected: int = Field(description="Rejected rows in the window, from the ledger.")
    read: int
    reject_share: float | None = Field(description="rejected / read; null when nothing was read.")
    counted: int = Field(
        description="The newest rejected rows of the window that the counts are of: 20,000 at most. Less than "
        "`rejected` means that the counts are a sample; scale them."
    )
    reasons: list[RejectReason] = Field(description="The most frequent first.")


class RejectSample(Model):
    """Where a rejected row stood, and, for those who may act, the row."""

    reject_id: int
    file_id: int
    file_name: str
    line: int
    reasons: list[str]
    rejected_at: datetime
    raw: str | None = Field(description="The row as it stood in the file; null for viewers, since it names customers.")
