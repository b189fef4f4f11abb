"""Make the virtual environment from the hash-locked requirements, with nothing but Python's standard library.

Run as ``python3 -m include.platform.install`` in the checkout, before anything is installed. A second run finds that
nothing has changed and returns at once. This file must be readable by any Python 3, so that an old one is told what
it lacks.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent.parent
REQUIREMENTS = REPOSITORY / "requirements.txt"
OLDEST, NEWEST = (3, 11), (3, 13)
LEAST_FREE_GIB = 3

_ANOTHER_PYTHON = [f"python3.{minor}" for minor in range(NEWEST[1], OLDEST[1] - 1, -1)]
# Everything comes as a wheel, so that no compiler is needed, but PySpark: its archive is packed, not compiled.
_WHEELS_ONLY = ["--only-binary", ":all:", "--no-binary", "pyspark", "--no-binary", "pyspark-client"]


class InstallError(Exception):
    """The environment cannot be made; the message ends with the remedy."""


def main(environment: Path = REPOSITORY / ".venv") -> int:
    """Make ``environment`` or bring it up to date; returns the exit status."""
    try:
        _install(environment)
    except InstallError as error:
        _say(f"error: {error}")
        return 1
    return 0


def fingerprint(requirements: bytes, version: "tuple[int, int]") -> str:
    """What an environment was made from: the lock and the Python version, as SHA-256."""
    return hashlib.sha256(requirements + repr(tuple(version)).encode()).hexdigest()


def stanza(requirements: str, package: str) -> str:
    """The lines of one package in a hash-locked requirements file: its pin and its hashes."""
    lines = requirements.splitlines()
    first = next(index for index, line in enumerate(lines) if line.startswith(package + "=="))
    last = next(index for index in range(first, len(lines)) if not lines[index].endswith("\\"))
    return "\n".join(lines[first : last + 1]) + "\n"


def _install(environment: Path) -> None:
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        _continue_with_another_python()
    stamp = environment / "installed"
    wanted = fingerprint(REQUIREMENTS.read_bytes(), sys.version_info[:2])
    if stamp.exists() and stamp.read_text() == wanted:
        return
    free = shutil.disk_usage(str(REPOSITORY)).free / 1024**3
    if free < LEAST_FREE_GIB:
        raise InstallError(
            f"{REPOSITORY} has {free:.1f} GiB free, {LEAST_FREE_GIB} are needed. Make room, then try again."
        )
    began = time.monotonic()
    _say(f"Installing into {environment}: 1.6 GB, once, in one or two minutes")
    # Not sys.executable: in an activated environment that would be the one to be replaced.
    _run([getattr(sys, "_base_executable", sys.executable), "-m", "venv", "--clear", str(environment)], _VENV_REMEDY)
    python = str(environment / "bin" / "python")
    uv = environment / "uv-requirements.txt"
    uv.write_text(stanza(REQUIREMENTS.read_text(), "uv"))
    # uv installs in parallel, in a third of pip's time.
    _run([python, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(uv)], _NETWORK_REMEDY)
    arguments = ["install", "--quiet", "--require-hashes", *_WHEELS_ONLY, "-r", str(REQUIREMENTS)]
    if _call([python, "-m", "uv", "pip", *arguments, "--python", python]):
        # A mirror that only pip's own configuration names, for one, is known to pip alone.
        _say("uv could not install them; trying pip, which takes a few minutes")
        _run([python, "-m", "pip", *arguments, "--no-compile"], _NETWORK_REMEDY)
    # It says itself what it made, or why not: drivers only start more slowly then.
    _call([python, "-m", "include.platform.driver_jvm"])
    stamp.write_text(wanted)
    _say(f"\rInstalled in {time.monotonic() - began:.0f} s")


_VENV_REMEDY = "Install Python's venv module (on Debian and Ubuntu: the package python3-venv)"
_NETWORK_REMEDY = "The lines above name the cause; if it is the network, check the proxy or mirror that pip is to use"


def _continue_with_another_python() -> None:
    for name in _ANOTHER_PYTHON:
        path = shutil.which(name)
        if path and subprocess.call([path, "-c", ""], stderr=subprocess.DEVNULL) == 0:
            os.execv(path, [path, "-m", "include.platform.install"])
    oldest, newest, found = (".".join(map(str, version)) for version in (OLDEST, NEWEST, sys.version_info[:3]))
    raise InstallError(
        f"Python {oldest} to {newest} is needed, {sys.executable} is {found}. "
        "Install one, or name it: make PYTHON=/path/to/python up"
    )


def _say(text: str, end: str = "\n") -> None:
    """Speak on stderr: what a command prints for a program, as ``make -s dsn`` does, stays alone on stdout."""
    print(text, end=end, file=sys.stderr, flush=True)


def _call(command: "list[str]") -> int:
    """Run a command that says nothing, and on a terminal show the time that it takes."""
    began = time.monotonic()
    process = subprocess.Popen(command)
    while True:
        try:
            return process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            if sys.stderr.isatty():
                _say(f"\r  {time.monotonic() - began:.0f} s ", end="")
        except BaseException:
            process.terminate()
            raise


def _run(command: "list[str]", remedy: str) -> None:
    if _call(command):
        raise InstallError(f"{' '.join(command[:4])} failed. {remedy}.")


if __name__ == "__main__":
    sys.exit(main())
