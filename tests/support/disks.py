"""Provide a small disk for one test, which can be filled to the last byte or inode."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(path: Path, options: str) -> Iterator[Path]:
    """Mount an empty file system in memory at ``path``, with the options of tmpfs(5), until the end of the block.

    Mounting takes root: the tests of an ordinary user skip.
    """
    if os.geteuid() != 0:
        pytest.skip("only root can mount")
    path.mkdir(parents=True, exist_ok=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", path], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"cannot mount here: {mounted.stderr.decode().strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", path], check=True)


def fill(disk: Path, *, leave_bytes: int = 0) -> Path:
    """Fill the disk except for ``leave_bytes``, and return the file that does so."""
    ballast = disk / "ballast"
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, free - leave_bytes)
    return ballast
