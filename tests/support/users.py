"""Use two users beside root: the owner of a platform, and a stranger who tries to get in.

Only root can become another user. For anyone else both are the user of the tests. That is enough to test ports, which
cannot tell users apart, but says nothing about files, unix sockets and processes.
"""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from include.settings import REPOSITORY

# Every Linux has both users; neither owns any of our files.
OWNER, STRANGER = "daemon", "nobody"
IS_ROOT = os.geteuid() == 0

needs_a_second_user = pytest.mark.skipif(
    not IS_ROOT,
    reason="NOT RUN: only root can become a second user, as in CI",
)


def command_of(user: str, *, reads_all: bool = False) -> list[str]:
    """What to put before a command so that it runs as a user; nothing when that is not possible.

    Parameters
    ----------
    reads_all:
        It may read every file, for programs of a checkout or a Python that is closed to others, such as in a home
        directory. It still owns nothing of root's, and can change and end nothing.
    """
    if not IS_ROOT:
        return []
    found = pwd.getpwnam(user)
    become = ["setpriv", f"--reuid={found.pw_uid}", f"--regid={found.pw_gid}", "--clear-groups"]
    if reads_all:
        # The last one is for access(), with which programs check whether they can run another.
        become += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search", "--securebits=+no_setuid_fixup"]
    return become


def command_of_owner() -> list[str]:
    """Return the prefix with which an ordinary user runs the platform's commands."""
    return command_of(OWNER, reads_all=not _is_open_to_others())


def give_to_owner(path: Path) -> None:
    """Give a path to the owner."""
    if IS_ROOT:
        found = pwd.getpwnam(OWNER)
        os.chown(path, found.pw_uid, found.pw_gid)


def as_stranger(*command: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a system command as the stranger, without the caller's variables."""
    return subprocess.run(
        [*command_of(STRANGER), *map(str, command)],
        **{
            "cwd": "/",
            "env": {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"},
            "capture_output": True,
            "text": True,
            "timeout": 120,
            **options,
        },
    )


def knock(door: str, *arguments: Any) -> Any:
    """Return how far the stranger gets at an entry point; see :mod:`tests.support.intruder`."""
    return _knock(command_of(STRANGER), door, arguments)


def knock_oneself(door: str, *arguments: Any) -> Any:
    """Do the same as the user of the tests."""
    return _knock([], door, arguments)


def _knock(become: list[str], door: str, arguments: Any) -> Any:
    done = subprocess.run(
        [*become, _python_of_everybody(), "-I", "-", door, json.dumps(arguments)],
        input=(Path(__file__).parent / "intruder.py").read_text(encoding="utf-8"),
        cwd="/",
        env={"LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@cache
def _is_open_to_others() -> bool:
    """Return whether every user can run the Python of the tests and read the checkout."""
    needed = (REPOSITORY, Path(sys.prefix), Path(sys.base_prefix), Path(sys.executable).resolve())
    return all(
        directory.stat().st_mode & 0o001
        for path in needed
        for directory in (path, *path.parents, *path.resolve().parents)
    )


def _python_of_everybody() -> str:
    return sys.executable if _is_open_to_others() else "/usr/bin/python3"
