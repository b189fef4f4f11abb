"""What ``make status`` reads from Postgres."""

from __future__ import annotations

from dataclasses import replace

from rich.console import Console

from include.alerts import Alert, note_event, raise_alert
from include.platform.status import platform_status, show_status
from include.settings import Settings
from tests.support.judged import query


def test_what_is_open_comes_first_however_old(database: Settings) -> None:
    dsn = database.dsn("ops")
    raise_alert(dsn, Alert("warning", "dag", "mild", ""))
    raise_alert(dsn, Alert("critical", "dag", "bad [bold]markup", ""))
    query(database, "UPDATE shop.alerts SET raised_at = raised_at - interval '3 days' RETURNING 1")
    note_event(dsn, Alert("critical", "dag", "event", ""))
    console = Console(width=200, record=True)
    show_status(replace(platform_status(database), is_up=True), console)
    _, _, shown = console.export_text().partition("Alerts")
    assert [line.strip() for line in shown.splitlines()[:4]] == [
        "1 critical, 1 warning open; 1 critical in 24 hours",
        "open 3 d ago critical dag: bad [bold]markup",
        "open 3 d ago warning dag: mild",
        "over 0 s ago critical dag: event",
    ]
