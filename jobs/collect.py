"""Collect a DataFrame task by task, so that finished tasks arrive while others still run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from pyspark.errors.exceptions.captured import unwrap_spark_exception
from pyspark.sql import DataFrame
from pyspark.sql.pandas.serializers import ArrowCollectSerializer
from pyspark.util import _load_from_socket


def arriving(rows: DataFrame) -> Iterator[pa.RecordBatch]:
    """Yield the rows of each task when it ends, in no particular order of tasks.

    This is ``DataFrame.toArrow()`` (pyspark.sql.pandas.conversion) without its last step, which waits for all tasks.
    PySpark has no public call that returns results early; the alternatives wait for all tasks or run them one after the
    other.
    """
    # Called here, in the caller's thread, because Spark assigns work to a query and job group by thread.
    port, secret, server = rows._jdf.collectAsArrowToPython()
    return _received(port, secret, server)


def _received(port: int, secret: str, server: Any) -> Iterator[pa.RecordBatch]:
    is_wanted = True
    try:
        with _load_from_socket((port, secret), ArrowCollectSerializer()) as stream:
            # The last item of the stream is the order of the tasks.
            yield from (one for one in stream if isinstance(one, pa.RecordBatch))
    except GeneratorExit:
        is_wanted = False
        raise
    finally:
        if is_wanted:
            # Raises any error of the JVM.
            with unwrap_spark_exception():
                server.getResult()
