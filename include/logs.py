"""Configure the logs of the job and of the platform's programs: as text, or as JSON lines for programs.

``SHOPSTREAM_LOG_FORMAT`` selects the form. In both, a line carries the ids that the caller passes with it
(``extra={"data": {...}}``) and those of the whole process (:func:`bind`), so that a run, a batch or a file can be
traced.
"""

from __future__ import annotations

import json
import logging
from typing import Any, Literal

LogFormat = Literal["text", "json"]

_bound: dict[str, Any] = {}


def bind(**ids: Any) -> None:
    """Add ids to every further line of this process; None removes one."""
    _bound.update(ids)
    for name in [name for name, value in _bound.items() if value is None]:
        del _bound[name]


def ids_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return the ids of a line: those of the process and its own."""
    return {**_bound, **getattr(record, "data", {})}


class JsonFormatter(logging.Formatter):
    """Write one JSON object per line: time, level, logger, message, the ids, and the traceback of an exception."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **ids_of(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class TextFormatter(logging.Formatter):
    """Write a readable line: time, level, message, and the ids as ``name=value``."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (logging's name)
        ids = " ".join(f"{name}={value}" for name, value in ids_of(record).items())
        return f"{super().formatMessage(record)} [{ids}]" if ids else super().formatMessage(record)


def start_logging(log_format: LogFormat, *, level: int = logging.INFO) -> None:
    """Send the log of this process to stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
