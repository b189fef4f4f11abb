"""Two users of a machine beside root: the owner of a platform, and a stranger who tries its doors.

Only root can become somebody else. For anybody else both are the user of the tests: that is enough for a port, which
cannot tell who knocks, and says nothing about files, unix sockets and processes.
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

# Every Linux has both; neither owns anything of ours.
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
        # The last one is for access(), which programs ask whether they could run another.
        become += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search", "--securebits=+no_setuid_fixup"]
    return become


def command_of_owner() -> list[str]:
    """What to put before the platform's commands, so that an ordinary user runs them."""
    return command_of(OWNER, reads_all=not _is_open_to_others())


def give_to_owner(path: Path) -> None:
    """Make the owner the owner of a path."""
    if IS_ROOT:
        found = pwd.getpwnam(OWNER)
        os.chown(path, found.pw_uid, found.pw_gid)


def as_stranger(*command: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command of the system as the stranger, without any variable of the caller."""
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
    """How far the stranger gets at a door; see :mod:`tests.support.intruder`."""
    return _knock(command_of(STRANGER), door, arguments)


def knock_oneself(door: str, *arguments: Any) -> Any:
    """The same as the user of the tests."""
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
    """Whether every user can run the Python of the tests and read the checkout."""
    needed = (REPOSITORY, Path(sys.prefix), Path(sys.base_prefix), Path(sys.executable).resolve())
    return all(
        directory.stat().st_mode & 0o001
        for path in needed
        for directory in (path, *path.parents, *path.resolve().parents)
    )


def _python_of_everybody() -> str:
    return sys.executable if _is_open_to_others() else "/usr/bin/python3"
