"""Read the durations that Spark measured for a batch."""

from __future__ import annotations

from pyspark.sql.streaming import StreamingQuery


def spark_durations(query: StreamingQuery) -> tuple[int, dict[str, float]] | None:
    """Return the number of the newest finished batch that had rows, and Spark's durations by stage, in milliseconds.

    This is polled now and then instead of received for each batch, because with small batches a listener in Python
    costs more than the batch itself.
    """
    progress = query.lastProgress
    if progress is None or not progress.numInputRows:
        return None
    return progress.batchId, {f"spark_{stage}": float(ms) for stage, ms in progress.durationMs.items()}
