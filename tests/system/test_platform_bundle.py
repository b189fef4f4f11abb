"""Test the bundle for executors: a task finds all its imports, without this checkout and its virtual environment."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from include.platform.installation import bundle
from include.platform.installation.packages import package_directory

_BARE = """
import jobs.landing_source, include.stream.reading.csv_reader, numpy, pyarrow, psycopg2
for module in (jobs.landing_source, numpy, pyarrow, psycopg2):
    print(module.__file__)
"""


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("executor")
    size = bundle.write_bundle(directory / "bundle.zip")
    assert 10 * 2**20 < size < 200 * 2**20
    with zipfile.ZipFile(directory / "bundle.zip") as file:
        file.extractall(directory)
    return directory


def test_a_bare_interpreter_runs_a_task_with_it(unpacked: Path) -> None:
    spark = package_directory("pyspark").parent
    py4j = next((spark / "pyspark" / "python" / "lib").glob("py4j-*.zip"))
    pyspark = spark / "pyspark" / "python" / "lib" / "pyspark.zip"
    done = subprocess.run(
        [str(sys._base_executable), "-S", "-c", _BARE],  # type: ignore[attr-defined]
        cwd="/",
        # An executor provides pyspark and py4j.
        env={"PYTHONPATH": os.pathsep.join(map(str, (unpacked, pyspark, py4j))), "PATH": os.defpath},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert all(line.startswith(f"{unpacked}/") for line in done.stdout.splitlines())


def test_nothing_of_airflow_or_of_the_generator_is_in_it(unpacked: Path) -> None:
    assert not {"airflow", "faker", "pandas", "pyspark", "great_expectations"} & {
        path.name for path in unpacked.iterdir()
    }


def test_a_name_that_spark_would_not_unpack_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert bundle.main([str(tmp_path / "bundle.tar")]) == 2
    assert "does not end in .zip" in capsys.readouterr().err


def test_an_unwritable_place_is_reported(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert bundle.main([str(tmp_path / "absent" / "bundle.zip")]) == 1
    assert "the bundle cannot be written to" in capsys.readouterr().err
