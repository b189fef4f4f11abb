"""Use the parts of PySpark 4.2 that have no public call; no other module may.

Two things need them: rows that arrive while other tasks still run, and a guard at the port through which the JVM calls
Python. ``tests/unit/test_pyspark_internals.py`` compares what is used here with the installed PySpark. When it fails
after an upgrade, read the two functions of PySpark that are named below, and adapt this module.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from pyspark.errors.exceptions.captured import unwrap_spark_exception
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.serializers import ArrowCollectSerializer
from pyspark.util import _load_from_socket


def collect_by_task(rows: DataFrame) -> Iterator[pa.RecordBatch]:
    """Yield the rows of each task when it ends, in no particular order of tasks.

    This is ``DataFrame.toArrow()``, in ``PandasConversionMixin._collect_as_arrow`` of pyspark.sql.pandas.conversion,
    without its last step, which waits for all tasks. PySpark has no public call that returns results early; the
    alternatives wait for all tasks or run them one after the other.
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


def wrap_callback_connections(spark: SparkSession, context: Any) -> None:
    """Let ``context.wrap_socket(socket, server_side=True)`` replace each connection to the callback port.

    The JVM calls the ``foreachBatch`` function through that port. Call this before the first ``foreachBatch``, which
    opens the port: ``CallbackServer.run`` of py4j.java_gateway wraps each accepted socket by the parameter
    ``ssl_context``.
    """
    gateway = spark.sparkContext._gateway
    assert gateway is not None, "a session that submits over Spark Connect has no gateway"
    gateway.callback_server_parameters.ssl_context = context
