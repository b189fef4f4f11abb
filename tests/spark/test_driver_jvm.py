"""Tests of the cache of Java classes from which a driver starts."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from include.errors import PlatformError
from include.platform.installation.java import prepare_java
from include.platform.installation.packages import package_directory
from include.platform.instance.environment import spark_environment
from include.platform.programs import driver_jvm
from include.settings import Settings


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the cache of this virtual environment, or make one if the installer could not."""
    installed = driver_jvm.cache_path()
    if installed.exists():
        return installed
    made = tmp_path_factory.mktemp("cache") / "driver.aot"
    driver_jvm.make_cache(made)
    return made


def java_version(cache: Path, home: Path) -> subprocess.CompletedProcess[str]:
    """Run a JVM that refuses to start without the cache, with the class path of Spark's launcher."""
    settings = Settings(home=home)
    prepare_java(settings)
    options = " ".join((*driver_jvm.MODULE_OPTIONS, "-XX:AOTMode=on", f"-XX:AOTCache={cache}"))
    return subprocess.run(
        [str(package_directory("pyspark") / "bin" / "spark-submit"), "--driver-java-options", options, "--version"],
        env=dict(spark_environment(settings)),
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_driver_can_start_from_the_cache(cache: Path, tmp_path: Path) -> None:
    started = java_version(cache, tmp_path)
    assert started.returncode == 0, started.stderr
    assert java_version(tmp_path / "none.aot", tmp_path).returncode != 0


def test_a_failed_rehearsal_leaves_no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "rehearsal.py").write_text("raise SystemExit(3)")
    monkeypatch.setattr(driver_jvm, "REPOSITORY", tmp_path)
    with pytest.raises(PlatformError, match="rehearsal ended with"):
        driver_jvm.make_cache(tmp_path / "driver.aot")
    assert [path.name for path in tmp_path.iterdir()] == ["jobs"]
