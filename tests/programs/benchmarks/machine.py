"""Describe the machine of the measurements."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil

from include.platform.services import postgres
from include.settings import REPOSITORY

_PACKAGES = ("apache-airflow", "pyspark", "pyarrow", "psycopg2-binary")


def describe() -> dict[str, str]:
    """Return machine, versions and commit, formatted for readers."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    cores, gib = len(os.sched_getaffinity(0)), psutil.virtual_memory().total / 2**30
    server = _output(str(postgres.BINARIES / "postgres"), "--version").split()[2]
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "commit": _output("git", "-C", str(REPOSITORY), "describe", "--always", "--dirty") or "unknown",
        "machine": f"{cores} cores of {cpu}, {gib:.0f} GiB, {platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "postgres": server,
        **{package: version(package) for package in _PACKAGES},
    }


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
