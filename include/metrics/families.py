"""Define the metrics that are read directly from PostgreSQL: name, kind, meaning and source column.

``ledger.py`` defines the metrics that the endpoint counts itself, because the ledger is too long to sum at each scrape.
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
    """A query of ``metrics.sql``, its label columns, and the metrics read from its rows."""

    query: str
    labels: tuple[str, ...]
    families: tuple[Family, ...]


SOURCES = (
    Source(
        "stream",
        (),
        (
            Family("stream_up", "Whether a stream driver is alive: 1 or 0.", "is_up"),
            Family("stream_wanted", "Whether the desired state of the stream is run: 1 or 0.", "is_wanted"),
            Family("stream_paused", "Whether a full disk keeps the stream from taking files: 1 or 0.", "is_paused"),
            Family("stream_epoch", "Writer epoch of the newest run, which grows with each start.", "epoch"),
            Family("stream_started_timestamp_seconds", "Start of the newest run, Unix time.", "started_at"),
            Family("stream_heartbeat_timestamp_seconds", "Last heartbeat of the driver, Unix time.", "heartbeat_at"),
            Family("stream_turned_timestamp_seconds", "Last turn of the micro-batch loop, Unix time.", "turned_at"),
            Family("stream_backlog_files", "Files waiting, in the landing folder or admitted.", "backlog_files"),
            Family("stream_backlog_bytes", "Bytes of the waiting files.", "backlog_bytes"),
            Family("stream_waiting_seconds", "Age of the oldest waiting file; 0 when none waits.", "waiting_seconds"),
            Family("stream_quarantined_files", "Files in quarantine that are in the ledger.", "quarantined_files"),
            Family(
                "stream_committed_timestamp_seconds", "When the newest batch was committed, Unix time.", "committed_at"
            ),
            Family(
                "stream_lag_seconds",
                "Time from arrival to commit in the newest batch, or the age of the oldest waiting file, if greater.",
                "lag_seconds",
            ),
            Family("stream_event_timestamp_seconds", "Newest event_time of the last batches, Unix time.", "event_time"),
        ),
    ),
    Source(
        "views",
        ("view",),
        (
            Family("view_published_timestamp_seconds", "When the view was last published, Unix time.", "published_at"),
            Family("view_rows", "Rows of the published view.", "rows"),
            Family("view_refresh_seconds", "Duration of the newest refresh.", "refresh_seconds"),
            Family("view_failed", "Whether the newest refresh failed: 1 or 0.", "is_failed"),
            Family("view_held", "Whether critical checks hold the newest refresh back: 1 or 0.", "is_held"),
        ),
    ),
    Source(
        "suites",
        ("suite",),
        (
            Family("suite_finished_timestamp_seconds", "When the suite last ran, Unix time.", "finished_at"),
            Family("suite_checks", "Checks of the newest run of the suite.", "checks"),
            Family("suite_critical_failures", "Critical checks that failed in the newest run.", "critical_failures"),
            Family("suite_warnings", "Checks of severity warning that failed in the newest run.", "warnings"),
            Family("suite_broken", "Whether the suite or one of its checks could not run: 1 or 0.", "is_broken"),
        ),
    ),
    Source(
        "alerts",
        ("severity",),
        (
            Family("alerts_open", "Open alerts.", "open"),
            Family("alerts_unacknowledged", "Open alerts that nobody has acknowledged.", "unacknowledged"),
        ),
    ),
    Source(
        "deliveries",
        (),
        (
            Family("alert_deliveries_due", "Alert notifications that are still to be sent.", "due"),
            Family("alert_deliveries_overdue", "Notifications that have been due for over five minutes.", "overdue"),
        ),
    ),
    Source(
        "objectives",
        ("objective",),
        (
            Family("objective_value", "Value of the newest judged minute, in the objective's unit.", "value"),
            Family("objective_bound", "Limit that the value is compared with.", "bound"),
            Family("objective_met", "Whether the newest judged minute met the objective: 1 or 0.", "is_met"),
            Family("objective_evaluated_timestamp_seconds", "The newest judged minute, Unix time.", "evaluated_at"),
            Family("objective_target_ratio", "Share of the minutes of a month that should meet it.", "target"),
            Family("objective_attainment_ratio", "Share of this month's judged minutes that met it.", "attainment"),
            Family("objective_evaluated_minutes", "This month's judged minutes.", "minutes"),
            Family("objective_missed", "Whether a miss of the objective is open: 1 or 0.", "is_missed"),
        ),
    ),
    Source(
        "database",
        (),
        (
            Family("database_connections", "Connections to the analytics database.", "connections"),
            Family("database_size_bytes", "Size of the analytics database on disk.", "size_bytes"),
            Family("database_commits", "Committed transactions.", "commits", "counter"),
            Family("database_rollbacks", "Rolled back transactions.", "rollbacks", "counter"),
            Family("database_cached_blocks", "Blocks found in PostgreSQL's cache.", "cached", "counter"),
            Family("database_read_blocks", "Blocks read from the operating system.", "read", "counter"),
            Family("database_deadlocks", "Deadlocks resolved by PostgreSQL.", "deadlocks", "counter"),
            Family(
                "database_temporary_bytes",
                "Bytes written to temporary files by queries that did not fit into memory.",
                "temp_bytes",
                "counter",
            ),
        ),
    ),
)
