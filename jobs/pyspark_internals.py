"""Keep every use of PySpark's and py4j's private names in one module, since any release may change them.

Written for PySpark 4.2.0. Two things have no public call:

* Rows that arrive while other tasks still run. ``DataFrame.toArrow()`` and ``toPandas()`` wait for all tasks, and
  ``toLocalIterator()`` runs the tasks one after the other. Used: ``DataFrame._jdf`` with its Java method
  ``collectAsArrowToPython``, ``pyspark.util._load_from_socket``,
  ``pyspark.sql.pandas.serializers.ArrowCollectSerializer`` and
  ``pyspark.errors.exceptions.captured.unwrap_spark_exception``.
* A guard at the port through which the JVM calls ``foreachBatch``. No setting of Spark's concerns this port. Used:
  ``SparkContext._gateway`` with py4j's ``callback_server_parameters.ssl_context``.

At an upgrade, run ``tests/unit/test_pyspark_internals.py``, which compares these names with the installed PySpark. Then
read ``PandasConversionMixin._collect_as_arrow`` (pyspark.sql.pandas.conversion), whose steps :func:`collect_by_task`
repeats, ``ensure_callback_server_started`` (pyspark.java_gateway) and ``CallbackServer.run`` (py4j.java_gateway), adapt
this module, run ``tests/spark``, and enter the new version in that unit test.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any, Protocol

import pyarrow as pa
from pyspark.errors.exceptions.captured import unwrap_spark_exception
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.serializers import ArrowCollectSerializer
from pyspark.util import _load_from_socket


class WrapsConnections(Protocol):
    """The one method of ``ssl.SSLContext`` that py4j calls."""

    def wrap_socket(self, connection: socket.socket, *, server_side: bool) -> socket.socket: ...


def collect_by_task(rows: DataFrame) -> Iterator[pa.RecordBatch]:
    """Yield the rows of each task when it ends, in no particular order of tasks.

    Spark's job begins with this call and not with the first ``next``.

    Raises
    ------
    pyspark.errors.PySparkException, py4j.protocol.Py4JJavaError
        When a task failed for good; raised after the rows that had arrived.
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


def wrap_callback_connections(spark: SparkSession, wrapper: WrapsConnections) -> None:
    """Replace each connection to the callback port by what ``wrapper.wrap_socket`` returns for it.

    Call this before the first ``foreachBatch``, which opens the port: py4j reads the parameter only then.
    """
    # py4j lets this parameter wrap each accepted socket, and uses the socket that it returns.
    spark.sparkContext._gateway.callback_server_parameters.ssl_context = wrapper  # type: ignore[union-attr]
