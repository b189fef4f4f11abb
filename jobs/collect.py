"""Collects a DataFrame task by task: what is finished comes while the other tasks still run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from pyspark.errors.exceptions.captured import unwrap_spark_exception
from pyspark.sql import DataFrame
from pyspark.sql.pandas.serializers import ArrowCollectSerializer
from pyspark.util import _load_from_socket


def arriving(rows: DataFrame) -> Iterator[pa.RecordBatch]:
    """The rows of each task when it ends, in no order of the tasks.

    This is ``DataFrame.toArrow()`` (pyspark.sql.pandas.conversion) without its last step, which waits for all of them:
    PySpark has no public call that does not wait, or run one task after the other.
    """
    # Now, in the thread of the caller: Spark knows by the thread to which query and job group the work belongs.
    port, secret, server = rows._jdf.collectAsArrowToPython()
    return _received(port, secret, server)


def _received(port: int, secret: str, server: Any) -> Iterator[pa.RecordBatch]:
    is_wanted = True
    try:
        with _load_from_socket((port, secret), ArrowCollectSerializer()) as stream:
            # The order of the tasks ends the stream.
            yield from (one for one in stream if isinstance(one, pa.RecordBatch))
    except GeneratorExit:
        is_wanted = False
        raise
    finally:
        if is_wanted:
            # Raises what went wrong on the side of the JVM.
            with unwrap_spark_exception():
                server.getResult()
