"""The options of a driver's JVM."""

from __future__ import annotations

import re
import sys
import zipfile
from pathlib import Path

import pytest

from include.platform.driver_jvm import MODULE_OPTIONS, driver_options
from include.platform.packages import package_directory


def test_the_module_options_are_those_of_this_spark() -> None:
    (jar,) = (package_directory("pyspark") / "jars").glob("spark-launcher_*.jar")
    with zipfile.ZipFile(jar) as classes:
        constants = classes.read("org/apache/spark/launcher/JavaModuleOptions.class")
    known = {one.decode() for one in re.findall(rb"-(?:-[a-z]|XX:|D)[\w.:+=/-]+", constants)}
    assert known - {"--add-modules=jdk.incubator.vector"} == set(MODULE_OPTIONS)


def test_the_cache_is_named_only_where_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    without = driver_options()
    (tmp_path / "driver.aot").touch()
    assert driver_options() == (*without, f"-XX:AOTCache={tmp_path / 'driver.aot'}")
