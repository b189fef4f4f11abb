"""Define which alerts are only consequences of another one, so that one cause sends one message.

An alert that follows from an open alert, or from planned downtime, is recorded with ``caused_by`` and not sent. If it
is still open some minutes after its cause has ended, it is sent, because something else must be wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from include.alerts.state import Severity

# A cause that has just ended may have consequences that are still open, since views are refreshed every five minutes.
DEBOUNCE_SECONDS = 600.0

_VIEWS_ARE_STALE = ("failed: refresh_views.check_freshness%", "objective: refresh_age", "quality/%/view_is_fresh")
_DEAD_DRIVER = (
    "watch_stream: no_driver",
    "watch_stream: no_heartbeat",
    "watch_stream: loop_stalled",
    "watch_stream: no_progress",
    "watch_stream: crash_loop",
)
_STREAM_TASKS = ("stream_events.%", "failed: stream_events%")
_NOTHING_IS_LOADED = (
    "objective: freshness",
    "objective: backlog",
    "watch_stream: lag",
    "watch_stream: backlog",
    "watch_stream: event_lag",
    "failed: generate_events%",
    "generate_events: deadline",
    "quality/events/events_are_fresh",
    "quality/events/volume_is_usual",
)
_AIRFLOW_IS_LATE = ("%: deadline", "watcher: %", "objective: refresh_age", "objective: quality_age")
_AIRFLOW = ("platform: scheduler", "platform: triggerer", "platform: dag-processor", "platform: api-server")
_DATABASE_IS_AWAY = (
    *_AIRFLOW,
    *_DEAD_DRIVER,
    *_STREAM_TASKS,
    *_NOTHING_IS_LOADED,
    *_VIEWS_ARE_STALE,
    *_AIRFLOW_IS_LATE,
    "failed: %",
    "objective: %",
)


@dataclass(frozen=True)
class Rule:
    """Causes and their consequences, as patterns of alert keys for SQL's LIKE.

    Parameters
    ----------
    causes:
        Every open alert with a matching key is a cause, unless it is itself one of the consequences.
    consequences:
        Alerts that are not sent while a cause is open.
    least:
        Minimum severity of the cause. Besides, a cause must always be at least as severe as its consequence: a channel
        that receives only critical alerts must not miss one because of a warning.
    """

    causes: tuple[str, ...]
    consequences: tuple[str, ...]
    least: Severity = "warning"


RULES = (
    # Views become stale when a check holds them back, and when a refresh fails.
    Rule(("quality/%",), _VIEWS_ARE_STALE, "critical"),
    Rule(("failed: refresh_views%", "watcher: refresh_views"), _VIEWS_ARE_STALE),
    Rule(("failed: refresh_views.check_freshness%",), _VIEWS_ARE_STALE[1:]),
    Rule(("objective: refresh_age",), _VIEWS_ARE_STALE[2:]),
    Rule(("failed: check_quality%", "watcher: check_quality"), ("objective: quality_age",)),
    # When no events arrive, the volume is below the usual, too.
    Rule(("quality/events/volume_is_usual",), ("quality/events/events_are_fresh",)),
    # A dead driver loads nothing, and the stream is unavailable.
    Rule(_DEAD_DRIVER, (*_NOTHING_IS_LOADED, *_STREAM_TASKS, "objective: availability")),
    Rule(("watch_stream: crash_loop",), _DEAD_DRIVER[:4]),
    Rule(("watch_stream: intake_paused", "watch_stream: low_disk"), _NOTHING_IS_LOADED),
    Rule(
        ("watch_stream: backlog", "watch_stream: lag"),
        ("objective: freshness", "objective: backlog", "failed: generate_events%", "generate_events: deadline"),
    ),
    # Programs on which others depend.
    Rule(("platform: spark-%",), (*_DEAD_DRIVER, *_NOTHING_IS_LOADED, *_STREAM_TASKS, "objective: availability")),
    Rule(_AIRFLOW, _AIRFLOW_IS_LATE),
    Rule(("platform: postgres",), _DATABASE_IS_AWAY),
)


@dataclass(frozen=True)
class Silenced:
    """Alerts that planned downtime of a kind silences.

    With ``until_caught_up`` they stay silenced until the stream has caught up.
    """

    kind: str
    patterns: tuple[str, ...]
    until_caught_up: bool = False


PLANNED = (
    Silenced("stream", (*_DEAD_DRIVER, *_STREAM_TASKS, "objective: availability")),
    Silenced("stream", _NOTHING_IS_LOADED, until_caught_up=True),
    Silenced("platform", (*_DATABASE_IS_AWAY, "platform: %")),
    Silenced("platform", (*_NOTHING_IS_LOADED, *_VIEWS_ARE_STALE, "objective: quality_age"), until_caught_up=True),
)

# A driver that ends is usually back within seconds. If not, watch_stream raises its own alert within a minute.
_WAIT_SECONDS = {"stream_events.%": 120.0}


def parameters() -> dict[str, Any]:
    """Return the rules as parallel arrays for ``outbox.sql``."""
    pairs = [
        (cause, consequence, number, rule.least)
        for number, rule in enumerate(RULES)
        for cause in rule.causes
        for consequence in rule.consequences
    ]
    silenced = [(one.kind, pattern, one.until_caught_up) for one in PLANNED for pattern in one.patterns]
    return {
        "causes": [cause for cause, *_ in pairs],
        "consequences": [consequence for _, consequence, *_ in pairs],
        "rules": [number for *_, number, _ in pairs],
        "least": [least for *_, least in pairs],
        "kinds": [kind for kind, *_ in silenced],
        "silenced": [pattern for _, pattern, _ in silenced],
        "until_caught_up": [until for *_, until in silenced],
        "waiting": list(_WAIT_SECONDS),
        "waiting_seconds": list(_WAIT_SECONDS.values()),
        "debounce_seconds": DEBOUNCE_SECONDS,
    }
