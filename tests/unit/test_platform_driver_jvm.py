"""Tests of the JVM options of a driver."""

from __future__ import annotations

import re
import shlex
import sys
import zipfile
from pathlib import Path

import psutil
import pytest

from include.errors import PlatformError
from include.platform.installation.packages import package_directory
from include.platform.programs import driver_jvm
from include.platform.programs.driver_jvm import MODULE_OPTIONS, driver_options, joined
from tests.support.waiting import wait_until


def test_the_module_options_match_the_installed_spark() -> None:
    (jar,) = (package_directory("pyspark") / "jars").glob("spark-launcher_*.jar")
    with zipfile.ZipFile(jar) as classes:
        constants = classes.read("org/apache/spark/launcher/JavaModuleOptions.class")
    known = {one.decode() for one in re.findall(rb"-(?:-[a-z]|XX:|D)[\w.:+=/-]+", constants)}
    assert known - {"--add-modules=jdk.incubator.vector"} == set(MODULE_OPTIONS)


def test_the_cache_option_is_set_only_if_the_cache_exists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    without = driver_options()
    (tmp_path / "driver.aot").touch()
    assert driver_options() == (*without, f"-XX:AOTCache={tmp_path / 'driver.aot'}")


def test_options_with_blanks_and_quotes_stay_whole() -> None:
    options = ["-XX:AOTCache=/my shop (1)/größe/.venv/driver.aot", '-Da="b"', "-Xss4m"]
    # Spark splits a string of options as a shell does.
    assert shlex.split(joined(options, ' -Dmore="of the user" ')) == [*options, "-Dmore=of the user"]
    assert joined(["-Xss4m"]) == "-Xss4m"


@pytest.mark.slow
def test_a_rehearsal_that_does_not_end_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    submit = tmp_path / "bin" / "spark-submit"
    submit.parent.mkdir()
    submit.write_text(
        '#!/bin/sh\ncase "$*" in *-Djava.io.tmpdir="$TMPDIR"*) touch "$TMPDIR/left";; esac\n'
        f'sleep 600 & echo $! "$TMPDIR" >{tmp_path}/started; wait\n'
    )
    submit.chmod(0o755)
    found = driver_jvm.package_directory
    monkeypatch.setattr(driver_jvm, "package_directory", lambda name: tmp_path if name == "pyspark" else found(name))
    monkeypatch.setattr(driver_jvm, "_REHEARSAL_SECONDS", 3)
    with pytest.raises(PlatformError, match="the rehearsal did not end within 3 s"):
        driver_jvm.make_cache(tmp_path / "driver.aot")
    child, directory = (tmp_path / "started").read_text().split()
    wait_until(lambda: not psutil.pid_exists(int(child)), seconds=30, what="the rehearsal's child process to end")
    assert not Path(directory).exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bin", "started"]
