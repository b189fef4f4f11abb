"""Test the job with executors in separate processes: what it needs on their machines, and what it does without."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from include.platform.installation.bundle import write_bundle
from include.settings import REPOSITORY, Settings
from include.stream.intake.landing import Landing
from include.stream.supervision.status import set_desired_state
from tests.cluster.nodes import SparkNodes
from tests.cluster.stream import ClusterStream, deliver
from tests.support.airflow import make_metadata
from tests.support.spark import with_spark_ports

_BARE = {"PYTHONPATH": None, "PYSPARK_PYTHON": None}


@pytest.fixture(scope="module")
def metadata(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a migrated metadata database of Airflow, to be copied."""
    return make_metadata(tmp_path_factory.mktemp("airflow") / "template")


@pytest.fixture
def settings(database: Settings) -> Settings:
    settings = with_spark_ports(database)
    Landing.of(settings).make()
    return settings


@pytest.mark.timeout(900)
def test_both_machines_read_and_the_result_is_what_was_delivered(
    settings: Settings, metadata: Path, tmp_path: Path
) -> None:
    deliver(settings, rows=100_000, rows_per_file=5_000)
    with SparkNodes(settings, workers=2, variables=_BARE) as nodes:
        stream = ClusterStream.start(settings, metadata=metadata, home=tmp_path / "airflow", mode="drain")
        with closing(stream):
            log = stream.dag.succeed(seconds=500)
        assert all("Running task" in node.executor_logs(settings) for node in nodes.nodes)
    assert "The stream ended as requested." in log
    assert stream.reconcile().agrees


@pytest.mark.timeout(900)
def test_executors_without_checkout_and_packages_run_on_the_bundle(
    settings: Settings, metadata: Path, tmp_path: Path
) -> None:
    """The interpreter below the virtual environment has none of its packages."""
    bundle = settings.root / "bundle.zip"
    write_bundle(bundle)
    site_packages = next(path for path in sys.path if path.endswith("site-packages"))
    changes = {
        "bundle": str(bundle),
        "driver-python": str(sys._base_executable),  # type: ignore[attr-defined]
        # The driver has all packages of the product.
        "driver-environment": {"PYTHONPATH": os.pathsep.join([str(REPOSITORY), site_packages])},
    }
    deliver(settings, rows=20_000, rows_per_file=5_000)
    with SparkNodes(settings, workers=2, variables=_BARE):
        stream = ClusterStream.start(
            settings, metadata=metadata, home=tmp_path / "airflow", mode="drain", changes=changes
        )
        with closing(stream):
            stream.dag.succeed(seconds=500)
    assert stream.reconcile().agrees
    unpacked = list((settings.root / "spark" / "work").glob("*/app-*/*/shopstream"))
    assert len(unpacked) == 2, "each executor has a bundle of its own"


@pytest.mark.timeout(900)
def test_a_machine_without_the_shared_storage_quarantines_no_file(
    settings: Settings, metadata: Path, tmp_path: Path
) -> None:
    """Its executors see an empty folder in place of the admitted files, as when a mount is missing."""
    if not _may_mount():
        pytest.skip("this machine allows no mounts")
    deliver(settings, rows=100_000, rows_per_file=5_000)
    with SparkNodes(settings, workers=1, variables=_BARE) as nodes:
        # This worker is too small for a driver.
        astray = nodes.add_worker(memory="1g", without=settings.admitted_dir)
        nodes.wait_for_workers(2)
        stream = ClusterStream.start(settings, metadata=metadata, home=tmp_path / "airflow")
        with closing(stream):
            stream.wait_until_idle(seconds=500)
            set_desired_state(settings.dsn("ops"), "drain")
            stream.dag.succeed(seconds=240)
        assert "does not see the admitted files of epoch" in astray.executor_logs(settings)
    assert stream.rows("SELECT DISTINCT state FROM shop.files") == [("loaded",)]
    assert stream.rows("SELECT count(*), count(error) FROM shop.runs") == [(1, 0)], "no batch failed for it, only tasks"
    assert stream.reconcile().agrees


def _may_mount() -> bool:
    command = ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(command, capture_output=True).returncode == 0
