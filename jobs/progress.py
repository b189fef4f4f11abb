"""The durations that Spark measured for a batch."""

from __future__ import annotations

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
