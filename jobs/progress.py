"""The driver's log, as JSON lines, and the durations that Spark measured for a batch."""

from __future__ import annotations

import json
import logging

from pyspark.sql.streaming import StreamingQuery


def spark_durations(query: StreamingQuery) -> tuple[int, dict[str, float]] | None:
    """The number of the newest finished batch that had rows, and Spark's durations of it by stage, milliseconds.

    Asked now and then rather than heard for each batch: a listener in Python costs more than the batch itself when
    batches are small.
    """
    progress = query.lastProgress
    if progress is None or not progress.numInputRows:
        return None
    return progress.batchId, {f"spark_{stage}": float(ms) for stage, ms in progress.durationMs.items()}


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and what the caller put under ``data``."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "data", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def log_as_json(level: int = logging.INFO) -> None:
    """Send the process's log to stderr as JSON lines."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("py4j").setLevel(logging.WARNING)
