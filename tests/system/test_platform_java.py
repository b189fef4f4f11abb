"""Test the Java runtime: the wheel's, behind its launcher, and the user's own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from include.errors import PlatformError
from include.platform.installation.java import java_home, prepare_java
from include.platform.installation.packages import package_directory
from include.settings import Settings


def test_runtime_of_the_wheel_starts_with_the_arguments_of_spark(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "with space")
    assert int(prepare_java(settings).split(".")[0]) >= 17
    java = java_home(settings) / "bin" / "java"
    arguments = ["-Dx=a b", "--add-modules=jdk.incubator.vector", "-XshowSettings:properties", "-version"]
    done = subprocess.run([java, *arguments], capture_output=True, text=True, check=True)
    assert "x = a b" in done.stderr


def test_spark_submit_finds_that_runtime_by_its_path_alone(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "with space")
    prepare_java(settings)
    spark_submit = package_directory("pyspark") / "bin" / "spark-submit"
    path = f"{java_home(settings) / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environment = {name: value for name, value in os.environ.items() if name != "JAVA_HOME"} | {"PATH": path}
    done = subprocess.run([spark_submit, "--version"], env=environment, capture_output=True, text=True)
    assert "version 4.2.0" in done.stderr, done.stderr


def own_java(tmp_path: Path, script: str) -> Settings:
    """Return settings that name a JAVA_HOME whose java is a script."""
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text(f"#!/bin/sh\n{script}\n")
    java.chmod(0o755)
    return Settings(home=tmp_path / "home", java_home=tmp_path)


def test_old_java_is_refused_with_its_version(tmp_path: Path) -> None:
    settings = own_java(tmp_path, "echo 'openjdk version \"11.0.2\" 2019-01-15' >&2")
    with pytest.raises(PlatformError, match=r"is version 11\.0\.2.*SHOPSTREAM_JAVA_HOME.*17 or newer"):
        prepare_java(settings)


def test_java_that_cannot_run_spark_is_refused_with_its_own_words(tmp_path: Path) -> None:
    settings = own_java(tmp_path, "echo 'Module jdk.incubator.vector not found' >&2; exit 1")
    with pytest.raises(PlatformError, match=r"cannot run Spark: Module jdk\.incubator\.vector not found"):
        prepare_java(settings)


def test_missing_java_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="cannot be run"):
        prepare_java(Settings(home=tmp_path, java_home=tmp_path / "nowhere"))
