"""Create the virtual environment from the hash-locked requirements, using only Python's standard library.

Run ``python3 -m include.platform.installation.install`` in the checkout, before anything is installed; with ``--dev``
it adds the packages for development and tests. A second run finds that nothing has changed and returns at once. Every
Python 3 must be able to parse this file: a user of an old version then gets a message about the required version
instead of a syntax error.

The environment is created beside its final place and moved there when it is complete; until then the previous one
stays as it is. It is never replaced while something runs in it.
"""

import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
REQUIREMENTS = REPOSITORY / "requirements.txt"
DEV_REQUIREMENTS = REPOSITORY / "tests" / "requirements.txt"
OLDEST, NEWEST = (3, 11), (3, 13)
# The packages take 1.6 GB, twice that while they are replaced, and the platform needs 3 GiB free for its data.
LEAST_FREE_GIB = 6

_ANOTHER_PYTHON = [f"python3.{minor}" for minor in range(NEWEST[1], OLDEST[1] - 1, -1)]
# Everything except PySpark is installed from wheels and needs no compiler. PySpark comes as an archive that is packed,
# not compiled. Its build uses the locked setuptools, installed first; an isolated build would fetch the newest one.
_WHEELS_ONLY = ["--only-binary", ":all:", "--no-binary", "pyspark", "--no-binary", "pyspark-client"]
_LOCKED_BUILD = ["--no-build-isolation"]
_FIRST = ("uv", "setuptools")


class InstallError(Exception):
    """The environment cannot be created; the message ends with the remedy."""


def main(environment: Path = REPOSITORY / ".venv", dev: bool = False) -> int:
    """Create ``environment`` or bring it up to date, with ``dev`` also for development; return the exit status."""
    try:
        _install(environment, dev)
    except InstallError as error:
        _say(f"error: {error}")
        return 1
    return 0


def fingerprint(requirements: bytes, version: "tuple[int, int]") -> str:
    """Return the SHA-256 of the sources of an environment: the lock file and the Python version."""
    return hashlib.sha256(requirements + repr(tuple(version)).encode()).hexdigest()


def stanza(requirements: str, package: str) -> str:
    """Return the lines of one package in a hash-locked requirements file: its pin and its hashes."""
    lines = requirements.splitlines()
    first = next(index for index, line in enumerate(lines) if line.startswith(package + "=="))
    last = next(index for index in range(first, len(lines)) if not lines[index].endswith("\\"))
    return "\n".join(lines[first : last + 1]) + "\n"


def unsupported(system: str, machine: str, libc: str) -> str:
    """Return why the platform cannot run on such a machine, or an empty string when it can."""
    if system == "Linux" and machine in {"x86_64", "amd64"} and libc == "glibc":
        return ""
    library = " with " + (libc or "another C library than glibc") if system == "Linux" else ""
    return f"Linux on x86-64 with glibc is needed, this is {system} on {machine}{library}."


def python_of(environment: Path) -> "tuple[tuple[int, int], str] | None":
    """Return the version and base interpreter of an environment's Python, or None when it does not work."""
    try:
        configuration = (environment / "pyvenv.cfg").read_text()
    except OSError:
        return None
    found = dict(re.findall(r"^(\S+)\s*=\s*(.*)$", configuration, re.MULTILINE))
    numbers = re.match(r"(\d+)\.(\d+)", found.get("version") or found.get("version_info", ""))
    # exists() follows the link, and is False when the interpreter was removed.
    if numbers is None or not (environment / "bin" / "python").exists():
        return None
    version = (int(numbers.group(1)), int(numbers.group(2)))
    base = Path(found.get("home", "")) / "python{}.{}".format(*version)
    return version, str(base)


def users_of(environment: Path) -> "list[str]":
    """Return the visible processes that run in an environment, each as ``name (pid 1)``."""
    place = os.fsencode(str(environment)) + b"/"
    ours, found = _ancestors(), []
    for entry in Path("/proc").glob("[0-9]*"):
        if int(entry.name) in ours:
            continue
        try:
            command = (entry / "cmdline").read_bytes()
            # make starts Python by a relative path.
            program = os.fsencode(str((entry / "cwd").readlink() / os.fsdecode(command.split(b"\0")[0])))
            # Java's class path and PostgreSQL's programs are in the environment, too.
            if place in command or program.startswith(place):
                found.append("{} (pid {})".format((entry / "comm").read_text().strip(), entry.name))
        except OSError:
            continue
    return found


def _ancestors() -> "set[int]":
    found, pid = set(), os.getpid()
    while pid > 1 and pid not in found:
        found.add(pid)
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            break
    return found


def _is_current(environment: Path) -> bool:
    """Return whether the environment works and was created from this lock; its own Python counts, not that on PATH."""
    return _is_stamped(environment, "installed", REQUIREMENTS)


def _is_stamped(environment: Path, name: str, requirements: Path) -> bool:
    stamp = environment / name
    python = python_of(environment)
    if python is None or not OLDEST <= python[0] <= NEWEST or not stamp.exists():
        return False
    return stamp.read_text() == fingerprint(requirements.read_bytes(), python[0])


def _install(environment: Path, dev: bool) -> None:
    if _is_current(environment) and not (dev and _lacks_dev(environment)):
        return
    reason = unsupported(platform.system(), platform.machine(), platform.libc_ver()[0])
    if reason:
        raise InstallError(reason + " Run it on such a machine, or in a virtual one")
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        _continue_with_another_python()
    environment.parent.mkdir(parents=True, exist_ok=True)
    with environment.with_name(environment.name + ".lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say(f"Another command installs into {environment}; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_current(environment):
            _replace(environment)
        if dev and _lacks_dev(environment):
            _add_dev(environment)


def _lacks_dev(environment: Path) -> bool:
    return not _is_stamped(environment, "installed-dev", DEV_REQUIREMENTS)


def _add_dev(environment: Path) -> None:
    """Add the packages for development. They change none of the others, so programs that run are not disturbed."""
    _say("Adding the packages for development and tests")
    _install_packages(environment / "bin" / "python", REQUIREMENTS, DEV_REQUIREMENTS)
    version = python_of(environment)
    assert version is not None
    (environment / "installed-dev").write_text(fingerprint(DEV_REQUIREMENTS.read_bytes(), version[0]))


def _replace(environment: Path) -> None:
    users = users_of(environment)
    if users:
        more = f" and {len(users) - 3} more" if len(users) > 3 else ""
        raise InstallError(
            "{} belongs to another version of the code, and cannot be replaced while it is used by {}{}. "
            "Run `make down`, or end them, then try again.".format(environment, ", ".join(users[:3]), more)
        )
    before = python_of(environment)
    # Do not use sys.executable: in an activated environment it is the Python that is about to be replaced.
    base = getattr(sys, "_base_executable", sys.executable)
    version = (sys.version_info[0], sys.version_info[1])
    if before and OLDEST <= before[0] <= NEWEST and Path(before[1]).exists():
        version, base = before
    new = environment.with_name(environment.name + ".new")
    old = environment.with_name(environment.name + ".old")
    for left in (new, old):
        _remove(left)
    free = shutil.disk_usage(str(REPOSITORY)).free / 1024**3
    if free < LEAST_FREE_GIB:
        raise InstallError(
            f"{REPOSITORY} has {free:.1f} GiB free, {LEAST_FREE_GIB} are needed. Make room, then try again."
        )
    began = time.monotonic()
    _say(f"Installing into {environment}: 1.6 GB, once, in one or two minutes")
    # Packages are not secret, and another user may have to read PostgreSQL's programs.
    os.umask(0o022)
    _run([base, "-m", "venv", str(new)], _VENV_REMEDY)
    python = str(new / "bin" / "python")
    first = new / "first-requirements.txt"
    first.write_text("".join(stanza(REQUIREMENTS.read_text(), package) for package in _FIRST))
    # uv installs in parallel and takes a third of pip's time.
    _run([python, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(first)], _NETWORK_REMEDY)
    _install_packages(Path(python), REQUIREMENTS)
    relocate(new, environment)
    (new / "installed").write_text(fingerprint(REQUIREMENTS.read_bytes(), version))
    if environment.exists() or environment.is_symlink():
        environment.rename(old)
    new.rename(environment)
    _remove(old)
    # Create the cache of Java classes now, because it is valid only for this path. The program reports its own result;
    # a failure is not fatal, since drivers then only start more slowly.
    _call([str(environment / "bin" / "python"), "-m", "include.platform.programs.driver_jvm"])
    _say(f"\rInstalled in {time.monotonic() - began:.0f} s")


def _install_packages(python: Path, *requirements: Path) -> None:
    arguments = ["install", "--quiet", "--require-hashes", *_WHEELS_ONLY, *_LOCKED_BUILD]
    for path in requirements:
        arguments += ["-r", str(path)]
    if _call([str(python), "-m", "uv", "pip", *arguments, "--python", str(python)]):
        # uv does not know a mirror that only pip's configuration names, for example.
        _say("uv could not install them; trying pip, which takes a few minutes")
        _run([str(python), "-m", "pip", *arguments, "--no-compile", "--use-pep517"], _NETWORK_REMEDY)


def relocate(made: Path, place: Path) -> None:
    """Replace the path of an environment in its own scripts: ``made``, where it was created, by ``place``."""
    before, after = os.fsencode(str(made)), os.fsencode(str(place))
    for path in [made / "pyvenv.cfg", *(made / "bin").iterdir()]:
        if path.is_symlink() or not path.is_file():
            continue
        content = path.read_bytes()
        # Leave binaries alone; they find their place by themselves.
        if b"\0" not in content and before in content:
            path.write_bytes(content.replace(before, after))


def _remove(environment: Path) -> None:
    if environment.is_symlink():
        environment.unlink()
    elif environment.exists():
        shutil.rmtree(str(environment))


_VENV_REMEDY = "Install Python's venv module (on Debian and Ubuntu: the package python3-venv)"
_NETWORK_REMEDY = "The lines above name the cause; if it is the network, check the proxy or mirror that pip is to use"


def _continue_with_another_python() -> None:
    for name in _ANOTHER_PYTHON:
        path = shutil.which(name)
        if path and subprocess.call([path, "-c", ""], stderr=subprocess.DEVNULL) == 0:
            os.execv(path, [path, "-m", "include.platform.installation.install", *sys.argv[1:]])
    oldest, newest, found = (".".join(map(str, version)) for version in (OLDEST, NEWEST, sys.version_info[:3]))
    raise InstallError(
        f"Python {oldest} to {newest} is needed, {sys.executable} is {found}. "
        "Install one, or name it: make PYTHON=/path/to/python up"
    )


def _say(text: str, end: str = "\n") -> None:
    """Print to stderr, which keeps stdout clean for commands whose output a program reads, such as ``make -s dsn``."""
    print(text, end=end, file=sys.stderr, flush=True)


def _call(command: "list[str]") -> int:
    """Run a quiet command and return its exit status; on a terminal, show the elapsed time."""
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
    sys.exit(main(dev="--dev" in sys.argv[1:]))
