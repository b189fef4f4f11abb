"""Tests of the lines that ``make status`` prints on the stream, a view and a suite."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

import pytest

from include.platform.commands.status import describe_refresh, describe_stream, describe_verdict
from include.stream.supervision.status import StreamStatus

WELL: dict[str, Any] = {field.name: None for field in fields(StreamStatus)} | {
    "epoch": 7,
    "mode": "continuous",
    "desired_state": "run",
    "heartbeat_age_seconds": 0.5,
    "turned_age_seconds": 0.3,
    "backlog_files": 2,
    "backlog_bytes": 1024**2,
}


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "[green]alive[/green] (epoch 7, continuous), backlog 2 files (1.0 MiB)"),
        ({"turned_age_seconds": 40.0}, "files (1.0 MiB), [red]loop stalled for 40 s[/red]"),
        ({"paused": "0.4 GiB are free"}, "files (1.0 MiB), [yellow]intake paused: 0.4 GiB are free[/yellow]"),
        ({"heartbeat_age_seconds": 16.0}, "[red]no heartbeat[/red]; 2 files wait; desired state: run"),
        (
            {
                "ignored_files": 3,
                "ignored_since": datetime(2026, 11, 23, 8, 5, tzinfo=UTC),
                "ignored_examples": ["orders[b].tsv", "old"],
            },
            "[yellow]3 in landing/ not *.csv, oldest since 2026-11-23 08:05 UTC: orders\\[b].tsv, old[/yellow]",
        ),
    ],
)
def test_the_line_on_the_stream_says_what_is_unusual(changes: dict[str, Any], line: str) -> None:
    assert describe_stream(StreamStatus(**{**WELL, **changes})).endswith(line)


def test_the_line_on_a_view_says_why_it_is_held_back() -> None:
    refresh = {
        **dict.fromkeys(("error", "held_because", "overrode")),
        "row_count": 1200,
        "seconds": 0.31,
        "age_seconds": 40.0,
        "held_seconds": 90.0,
        "readers_age_seconds": 600.0,
    }
    assert describe_refresh(refresh).startswith("[green]fresh[/green], 1,200 rows in 0.3 s")
    held = {**refresh, "held_because": "events: price_level_is_usual", "row_count": None}
    assert describe_refresh(held).startswith("[red]held back[/red] for ")
    assert describe_refresh(held).endswith("[red]events: price_level_is_usual[/red]")
    assert describe_refresh({**held, "error": "no room\nDETAIL: ..."}).startswith("[red]no room[/red]")


@pytest.mark.parametrize(
    ("verdict", "critical", "warnings", "line"),
    [
        ("passed", 0, 0, "[green]all passed[/green]"),
        ("warned", 0, 2, "[yellow]2 warnings failed[/yellow]"),
        ("failed", 1, 2, "[red]1 critical and 2 warnings failed[/red]"),
        ("broken", 0, 0, "[red]the suite, or one of its checks, cannot be run[/red]"),
    ],
)
def test_the_line_on_a_suite_says_its_verdict(verdict: str, critical: int, warnings: int, line: str) -> None:
    assert describe_verdict({"verdict": verdict, "critical": critical, "warnings": warnings}) == line
