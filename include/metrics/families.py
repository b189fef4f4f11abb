"""Every metric that is read from PostgreSQL as it is: its name, kind, meaning, and the column that it comes from.

What is counted by the endpoint itself, since the ledger would be too long to sum at each scrape, is in ``ledger.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PREFIX = "shopstream_"


@dataclass(frozen=True)
class Family:
    """One metric: its name without the prefix, its meaning, its column in the query, and its kind."""

    name: str
    help: str
    column: str
    kind: Literal["gauge", "counter"] = "gauge"


@dataclass(frozen=True)
class Source:
    """A query of ``metrics.sql``, the columns that are labels, and the metrics that its rows give."""

    query: str
    labels: tuple[str, ...]
    families: tuple[Family, ...]


SOURCES = (
    Source(
        "stream",
        (),
        (
            Family("stream_up", "Whether a driver of the stream lives: 1, or 0.", "is_up"),
            Family("stream_wanted", "Whether the stream is wished to run: 1, or 0.", "is_wanted"),
            Family(
                "stream_paused", "Whether the stream takes in no files because of a full disk: 1, or 0.", "is_paused"
            ),
            Family("stream_epoch", "The writer epoch of the newest run: it grows with each start.", "epoch"),
            Family("stream_started_timestamp_seconds", "When the newest run began, Unix time.", "started_at"),
            Family("stream_heartbeat_timestamp_seconds", "The driver's last sign of life, Unix time.", "heartbeat_at"),
            Family("stream_turned_timestamp_seconds", "When the micro-batch loop last turned, Unix time.", "turned_at"),
            Family("stream_backlog_files", "Files that wait, in the landing folder or admitted.", "backlog_files"),
            Family("stream_backlog_bytes", "Bytes of the files that wait.", "backlog_bytes"),
            Family("stream_waiting_seconds", "Age of the oldest admitted file; 0 when none waits.", "waiting_seconds"),
            Family(
                "stream_quarantined_files", "Files in quarantine, as long as the ledger knows.", "quarantined_files"
            ),
            Family(
                "stream_committed_timestamp_seconds", "When the newest batch was committed, Unix time.", "committed_at"
            ),
            Family("stream_lag_seconds", "Commit of the newest batch minus arrival of its oldest file.", "lag_seconds"),
            Family(
                "stream_event_timestamp_seconds", "The newest event_time of the last batches, Unix time.", "event_time"
            ),
        ),
    ),
    Source(
        "views",
        ("view",),
        (
            Family("view_published_timestamp_seconds", "When the view was last published, Unix time.", "published_at"),
            Family("view_rows", "Rows of the view as it was last published.", "rows"),
            Family("view_refresh_seconds", "How long the newest refresh took.", "refresh_seconds"),
            Family("view_failed", "Whether the newest refresh failed: 1, or 0.", "is_failed"),
            Family("view_held", "Whether critical checks hold the newest refresh back: 1, or 0.", "is_held"),
        ),
    ),
    Source(
        "suites",
        ("suite",),
        (
            Family("suite_finished_timestamp_seconds", "When the suite was last run, Unix time.", "finished_at"),
            Family("suite_checks", "Checks of the newest run of the suite.", "checks"),
            Family("suite_critical_failures", "Critical checks that failed in the newest run.", "critical_failures"),
            Family("suite_warnings", "Checks of severity warning that failed in the newest run.", "warnings"),
            Family("suite_broken", "Whether the suite could not be read or run: 1, or 0.", "is_broken"),
        ),
    ),
    Source(
        "alerts",
        ("severity",),
        (
            Family("alerts_open", "Alerts whose cause is not over.", "open"),
            Family("alerts_unacknowledged", "Open alerts that nobody has acknowledged.", "unacknowledged"),
        ),
    ),
    Source(
        "deliveries",
        (),
        (
            Family("alert_deliveries_due", "Messages about alerts that are still to be sent.", "due"),
            Family("alert_deliveries_overdue", "Of these, the ones that are due for over five minutes.", "overdue"),
        ),
    ),
    Source(
        "objectives",
        ("objective",),
        (
            Family("objective_value", "The value of the newest judged minute, in the objective's unit.", "value"),
            Family("objective_bound", "The bound that it is held against.", "bound"),
            Family("objective_met", "Whether the newest judged minute met the objective: 1, or 0.", "is_met"),
            Family("objective_judged_timestamp_seconds", "The newest judged minute, Unix time.", "judged_at"),
            Family("objective_target_ratio", "Share of the minutes of a month that should meet it.", "target"),
            Family("objective_attainment_ratio", "Share of this month's judged minutes that met it.", "attainment"),
            Family("objective_judged_minutes", "This month's judged minutes.", "minutes"),
            Family("objective_missed", "Whether a miss of the objective is open: 1, or 0.", "is_missed"),
        ),
    ),
    Source(
        "database",
        (),
        (
            Family("database_connections", "Connections to the analytics database.", "connections"),
            Family("database_size_bytes", "Size of the analytics database on disk.", "size_bytes"),
            Family("database_commits", "Transactions that were committed.", "commits", "counter"),
            Family("database_rollbacks", "Transactions that were rolled back.", "rollbacks", "counter"),
            Family("database_cached_blocks", "Blocks that were found in PostgreSQL's cache.", "cached", "counter"),
            Family("database_read_blocks", "Blocks that were read from the operating system.", "read", "counter"),
            Family("database_deadlocks", "Deadlocks that PostgreSQL has ended.", "deadlocks", "counter"),
            Family(
                "database_temporary_bytes", "Bytes written by queries that did not fit memory.", "temp_bytes", "counter"
            ),
        ),
    ),
)
