"""Test that a driver runs on a real cluster from a checkout whose path has blanks, parentheses and an umlaut."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from include.settings import REPOSITORY
from tests.support.postgres import temporary_home

_JOB = """\
import sys
from pathlib import Path

from pyspark.sql import SparkSession

from include.settings import REPOSITORY

session = SparkSession.builder.getOrCreate()
Path(sys.argv[1]).write_text(f"{session.range(1000).repartition(4).count()} {REPOSITORY}", encoding="utf-8")
"""

_SUBMIT = """\
import subprocess
import sys
from pathlib import Path

from airflow.sdk import Connection

from include.airflow.spark.clusters import cluster_of
from include.airflow.spark.operators import StreamSubmitOperator
from include.platform.services.connections import airflow_connections
from include.platform.instance.home import claim_home, make_directories
from include.settings import Settings
from tests.support.spark import running_spark, with_spark_ports
from tests.support.waiting import wait_until

settings = with_spark_ports(Settings(home=sys.argv[1]))
claim_home(settings)
make_directories(settings)
(fields,) = [row for row in airflow_connections(settings) if row["conn_id"] == "spark_cluster"]
connection = Connection(**{name: value for name, value in fields.items() if name != "description"})
cluster = cluster_of(connection, settings)
with running_spark(settings):
    cluster.check_reachable()
    result = Path(sys.argv[2])
    job = cluster.submission(settings, "jobs/probe.py", [str(result)])
    command = [
        "spark-submit", "--master", f"{connection.host}:{connection.port}", "--deploy-mode", "cluster",
        "--properties-file", job.properties_file, "--class", job.java_class, "--driver-memory", job.driver_memory,
    ]
    for name, value in job.conf.items():
        command += ["--conf", f"{name}={value}"]
    path = job.environment["PATH"].split(":")[0]
    command[0] = f"{path}/spark-submit"
    command += [job.application, *job.arguments]
    completed = subprocess.run(command, env=dict(job.environment), capture_output=True, text=True)
    assert completed.returncode == 0, completed.stderr
    try:
        wait_until(result.exists, seconds=90, what="the driver's result")
    except BaseException:
        for log in (settings.root / "spark" / "work").glob("driver-*/std*"):
            print(log, log.read_text()[-3000:])
        raise
"""


def test_a_driver_runs_from_a_checkout_with_an_awkward_path(tmp_path: Path) -> None:
    checkout = tmp_path / "my shop (1)" / "größe"
    checkout.mkdir(parents=True)
    for name in ("include", "jobs", "tests/support"):
        shutil.copytree(REPOSITORY / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    (checkout / "tests" / "__init__.py").touch()
    (checkout / ".venv").symlink_to(Path(sys.prefix))
    (checkout / "jobs" / "probe.py").write_text(_JOB)
    result = tmp_path / "result file"
    with temporary_home() as directory:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "AIRFLOW"))}
        completed = subprocess.run(
            [checkout / ".venv" / "bin" / "python", "-c", _SUBMIT, directory / "ein & größe", result],
            cwd=checkout,
            env={**environment, "AIRFLOW_HOME": str(tmp_path / "airflow"), "LC_ALL": "C.UTF-8"},
            capture_output=True,
            text=True,
            timeout=300,
        )
    assert completed.returncode == 0, completed.stdout[-6000:] + completed.stderr[-6000:]
    assert result.read_text(encoding="utf-8") == f"1000 {checkout}"
