"""Show the logs of the programs."""

from __future__ import annotations

import os
from pathlib import Path

from include.errors import PlatformError
from include.settings import Settings

_TAIL_BYTES = 64 * 1024


def tail(path: Path, lines: int) -> list[str]:
    """Return the last lines of a file, read from its end; an empty list when the file does not exist."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return []
    return text.splitlines()[-lines:]


def follow(settings: Settings, name: str | None) -> None:
    """Replace this process by ``tail -F`` on the log of one program, or on all logs.

    Raises
    ------
    PlatformError
        When there is no such log; the message lists the existing ones.
    """
    logs = {path.stem: path for path in sorted(settings.log_dir.glob("*.log"))}
    if not logs:
        raise PlatformError(f"there are no logs in {settings.log_dir}", "Start the platform with `make up`")
    if name is not None and name not in logs:
        raise PlatformError(f"there is no log named {name!r}", f"Choose one of: {', '.join(logs)}")
    chosen = [logs[name]] if name else list(logs.values())
    os.execvp("tail", ["tail", "-n", "50" if name else "5", "-F", *map(str, chosen)])
