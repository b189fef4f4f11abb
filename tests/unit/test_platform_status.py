"""What ``make status`` says of the stream."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from include.platform.status import describe_refresh, describe_stream, describe_verdict
from include.stream.status import StreamStatus

WELL: dict[str, Any] = {field.name: None for field in fields(StreamStatus)} | {
    "epoch": 7,
    "mode": "continuous",
    "wish": "run",
    "heartbeat_age_seconds": 0.5,
    "turned_age_seconds": 0.3,
    "backlog_files": 2,
    "backlog_bytes": 1024**2,
}


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "[green]alive[/green] (epoch 7, continuous), backlog 2 files (1.0 MiB)"),
        ({"turned_age_seconds": 40.0}, "files (1.0 MiB), [red]loop stands still for 40 s[/red]"),
        ({"paused": "0.4 GiB are free"}, "files (1.0 MiB), [yellow]takes in no files: 0.4 GiB are free[/yellow]"),
        ({"heartbeat_age_seconds": 16.0}, "[red]no sign of life[/red]; 2 files waited; wish: run"),
    ],
)
def test_the_line_on_the_stream_says_what_is_odd(changes: dict[str, Any], line: str) -> None:
    assert describe_stream(StreamStatus(**{**WELL, **changes})).endswith(line)


def test_the_line_on_a_view_says_why_it_is_held_back() -> None:
    refresh = {"error": None, "held_because": None, "row_count": 1200, "seconds": 0.31}
    assert describe_refresh(refresh) == "1,200 rows in 0.3 s"
    held = {**refresh, "held_because": "events: price_level_is_usual", "row_count": None}
    assert describe_refresh(held) == "[red]held back: events: price_level_is_usual[/red]"
    assert describe_refresh({**held, "error": "no room\nDETAIL: ..."}) == "[red]no room[/red]"


@pytest.mark.parametrize(
    ("verdict", "critical", "warnings", "line"),
    [
        ("passed", 0, 0, "[green]all hold[/green]"),
        ("warned", 0, 2, "[yellow]2 warnings failed[/yellow]"),
        ("failed", 1, 2, "[red]1 critical and 2 warnings failed[/red]"),
        ("broken", 0, 0, "[red]the suite, or a check of it, cannot be used[/red]"),
    ],
)
def test_the_line_on_a_suite_says_its_verdict(verdict: str, critical: int, warnings: int, line: str) -> None:
    assert describe_verdict({"verdict": verdict, "critical": critical, "warnings": warnings}) == line
