"""A real Spark session on this machine, shared by the tests of this folder."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator

import pytest
from pyspark.sql import SparkSession

from include.platform.installation.java import java_home, prepare_java
from include.settings import REPOSITORY, Settings
from jobs.stream_events import build_session
from tests.support.postgres import temporary_home
from tests.support.sockets import free_ports


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    """Yield a session built as the job builds it, with the platform's Java and ``local[2]``."""
    with temporary_home() as home, pytest.MonkeyPatch.context() as patch:
        settings = Settings(home=home, spark_driver_ui_port=free_ports(1)[0])
        prepare_java(settings)
        patch.setenv("JAVA_HOME", str(java_home(settings)))
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        patch.setenv("PYTHONPATH", os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")]))
        patch.setenv("PYSPARK_SUBMIT_ARGS", "--master local[2] --driver-memory 1g pyspark-shell")
        session = build_session(settings)
        session.sparkContext.setLogLevel("ERROR")
        # py4j logs every closed connection, even after pytest has closed the log.
        logging.getLogger("py4j").setLevel(logging.WARNING)
        yield session
        session.stop()
