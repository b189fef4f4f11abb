"""Carry out the Dockerfile's steps that build the image's environment, in a directory of this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from include.settings import REPOSITORY
from tests.support.compose import DOCKER, instructions

pytestmark = pytest.mark.timeout(1800)


def test_the_environment_of_the_image_can_be_built_and_used(place: Path) -> None:
    steps = instructions(DOCKER / "app" / "Dockerfile")
    begin = next(index for index, (word, rest) in enumerate(steps) if word == "FROM" and rest.endswith(" AS build"))
    end = next(index for index in range(begin + 1, len(steps)) if steps[index][0] == "FROM")
    # Use a Python like that of the base image, and this machine's access to the package index.
    environment = {**os.environ, "PATH": f"{sys.base_prefix}/bin:{os.defpath}"}
    for word, rest in steps[begin:end]:
        if word == "COPY":
            *sources, target = rest.split()
            (place / target).mkdir(parents=True, exist_ok=True)
            for source in sources:
                shutil.copy(REPOSITORY / source, place / target)
        elif word == "RUN":
            done = subprocess.run(rest, shell=True, cwd=place, env=environment, capture_output=True, text=True)
            assert done.returncode == 0, f"{rest}\n{done.stdout}\n{done.stderr}"
    python = place / ".venv" / "bin" / "python"
    code = "import airflow, celery, psycopg2, pyspark, redis; print(pyspark.__version__, celery.__version__)"
    used = subprocess.run([python, "-c", code], env=environment, cwd=place, capture_output=True, text=True)
    assert used.returncode == 0, used.stderr
    for left_out in ("pytest", "playwright", "mypy"):
        missing = subprocess.run([python, "-c", f"import {left_out}"], env=environment, cwd=place, capture_output=True)
        assert missing.returncode == 1, left_out
