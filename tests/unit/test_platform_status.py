"""What ``make status`` says of the stream."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from include.platform.status import describe_stream
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
