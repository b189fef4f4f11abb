"""What happened, twice: a line for whoever watches, and a JSON line for whoever looks later."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


class Journal:
    """Writes to stdout and to a file of JSON lines."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the journal was opened."""
        return time.monotonic() - self._began

    def write(self, event: str, line: str, **data: Any) -> None:
        """Record an event.

        Parameters
        ----------
        event:
            Its kind.
        line:
            For people.
        data:
            For programs.
        """
        minutes, seconds = divmod(int(self.seconds), 60)
        print(f"{minutes:3d}:{seconds:02d}  {line}", flush=True)
        record = {"time": datetime.now(UTC).isoformat(), "event": event, "line": line, **data}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record, default=str) + "\n")
