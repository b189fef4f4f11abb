"""Test the installer that runs before anything is installed, and the lock that it installs."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from include.platform.installation import install
from include.settings import REPOSITORY
from tests.support.waiting import wait_until

PYPROJECT = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
LOCK = install.REQUIREMENTS.read_text(encoding="utf-8")
DEV_LOCK = install.DEV_REQUIREMENTS.read_text(encoding="utf-8")
# A lock by the name of the list in pyproject.toml that it is compiled from.
LOCKS = {"dependencies": LOCK, "dev": DEV_LOCK}


def locked(lock: str) -> dict[str, list[str]]:
    """Return the versions of every package in a lock; a package has several where Python versions differ."""
    versions: dict[str, list[str]] = {}
    for name, version in re.findall(r"^([a-z0-9-]+)==(\S+)", lock, re.MULTILINE):
        versions.setdefault(name, []).append(version)
    return versions


def direct_dependencies(name: str) -> list[Requirement]:
    """Return the dependencies that a list of pyproject.toml names."""
    (block,) = re.findall(rf"^{name} = \[$(.*?)^\]$", PYPROJECT, re.MULTILINE | re.DOTALL)
    return [Requirement(text) for text in re.findall(r'^    "([^"]+)",', block, re.MULTILINE)]


@pytest.mark.parametrize("lock", LOCKS.values(), ids=LOCKS)
def test_every_locked_package_has_hashes_and_no_address(lock: str) -> None:
    for name in locked(lock):
        assert "--hash=sha256:" in install.stanza(lock, name)
    assert "://" not in lock
    assert not re.search(r"^\s*(-i|--index-url|--extra-index-url|--find-links)\b", lock, re.MULTILINE)


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_satisfies_the_direct_dependencies(name: str) -> None:
    versions = locked(LOCKS[name])
    dependencies = direct_dependencies(name)
    assert len(dependencies) > 10
    for dependency in dependencies:
        assert all(version in dependency.specifier for version in versions[dependency.name]), str(dependency)


def test_development_changes_no_package_of_the_platform() -> None:
    platform = locked(LOCK)
    shared = {name: versions for name, versions in locked(DEV_LOCK).items() if name in platform}
    assert shared == {name: platform[name] for name in shared}
    assert "playwright" not in platform


def test_packages_for_development_are_added_once_and_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_network(monkeypatch)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setattr(install, "REQUIREMENTS", tmp_path / "requirements.txt")
    monkeypatch.setattr(install, "DEV_REQUIREMENTS", tmp_path / "dev-requirements.txt")
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "dev-requirements.txt").write_text(locked_as(wheel(tmp_path, "playwright", {"playwright.py": ""})))
    place = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", place], check=True)
    (place / "installed").write_text(install.fingerprint(b"", sys.version_info[:2]))
    assert install.main(place) == 0
    assert not list(place.rglob("playwright.py"))
    made = place.stat().st_ino
    for _ in range(2):
        assert install.main(place, dev=True) == 0
        assert list(place.rglob("playwright.py"))
    assert place.stat().st_ino == made


def test_supported_versions_are_those_of_the_project() -> None:
    oldest, newest = install.OLDEST, install.NEWEST
    assert f'requires-python = ">={oldest[0]}.{oldest[1]},<{newest[0]}.{newest[1] + 1}"' in PYPROJECT


def test_stanza_ends_with_the_hashes_of_the_package() -> None:
    wanted = "uv==2 \\\n    --hash=sha256:bb \\\n    --hash=sha256:cc\n"
    lock = f"a==1 \\\n    --hash=sha256:aa\n    # via b\n{wanted}    # via c\nz==3\n"
    assert install.stanza(lock, "uv") == wanted


def test_fingerprint_changes_with_lock_and_python() -> None:
    prints = {
        install.fingerprint(b"a==1", (3, 11)),
        install.fingerprint(b"a==2", (3, 11)),
        install.fingerprint(b"a==1", (3, 12)),
    }
    assert len(prints) == 3


def environment_of(place: Path, version: tuple[int, int], requirements: bytes | None = None) -> Path:
    """Create the parts of an environment that the installer examines, with the Python of the tests."""
    (place / "bin").mkdir(parents=True)
    (place / "bin" / "python").symlink_to(sys.executable)
    (place / "pyvenv.cfg").write_text(f"home = /nowhere\nversion = {version[0]}.{version[1]}.1\n")
    content = install.REQUIREMENTS.read_bytes() if requirements is None else requirements
    (place / "installed").write_text(install.fingerprint(content, version))
    return place


def without_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every installation fail at its first package."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_DISABLE_PIP_VERSION_CHECK", "1")


@pytest.mark.parametrize("version", [(3, 11), (3, 12), (3, 13)])
def test_environment_of_any_supported_python_is_left_alone(tmp_path: Path, version: tuple[int, int]) -> None:
    # This must hold whichever python3 is first on PATH.
    environment = environment_of(tmp_path / "venv", version)
    before = sorted(environment.rglob("*"))
    assert install.main(environment) == 0
    assert sorted(environment.rglob("*")) == before
    assert [path.name for path in tmp_path.iterdir()] == ["venv"]


def test_environment_whose_python_was_removed_is_not_up_to_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without_network(monkeypatch)
    environment = environment_of(tmp_path / "venv", sys.version_info[:2])
    (environment / "bin" / "python").unlink()
    (environment / "bin" / "python").symlink_to("/removed/python")
    assert install.main(environment) == 1
    assert "Installing into" in capsys.readouterr().err


def test_installation_that_fails_leaves_the_environment_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_network(monkeypatch)
    environment = environment_of(tmp_path / "venv", sys.version_info[:2], b"an older lock")
    before = {path: path.lstat().st_ino for path in environment.rglob("*")}
    assert install.main(environment) == 1
    assert {path: path.lstat().st_ino for path in environment.rglob("*")} == before


def test_environment_in_use_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without_network(monkeypatch)
    environment = environment_of(tmp_path / "venv", sys.version_info[:2], b"an older lock")
    user = subprocess.Popen([environment / "bin" / "python", "-c", "input()"], stdin=subprocess.PIPE)
    try:
        wait_until(lambda: bool(install.users_of(environment)), seconds=10, what="the process to appear")
        assert install.main(environment) == 1
        message = capsys.readouterr().err
        assert f"(pid {user.pid})" in message
        assert "Run `make down`" in message
        assert (environment / "bin" / "python").exists()
    finally:
        user.communicate(b"\n")
    assert install.users_of(environment) == []


def test_environment_that_make_uses_by_a_relative_path_is_in_use(tmp_path: Path) -> None:
    environment = environment_of(tmp_path / ".venv", (3, 11))
    user = subprocess.Popen([".venv/bin/python", "-c", "input()"], cwd=tmp_path, stdin=subprocess.PIPE)
    try:
        # A new process has no command line for a moment.
        wait_until(lambda: bool(install.users_of(environment)), seconds=10, what="the process to appear")
        assert install.users_of(environment) == [f"python (pid {user.pid})"]
    finally:
        user.communicate(b"\n")


def test_second_installation_waits_for_the_first(tmp_path: Path) -> None:
    environment = tmp_path / "venv"
    command = [
        sys.executable,
        "-c",
        f"from include.platform.installation import install; install.main(install.Path({str(environment)!r}))",
    ]
    with (tmp_path / "venv.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second = subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True)
        assert second.stderr is not None
        assert "waiting for it" in second.stderr.readline()
        # The second installation finds the environment that the first one has created.
        environment_of(environment, (3, 11))
    _, more = second.communicate(timeout=60)
    assert (second.returncode, more) == (0, "")


def test_scripts_of_a_moved_environment_work(tmp_path: Path) -> None:
    made, place = tmp_path / "a blank" / ".venv.new", tmp_path / "a blank" / ".venv"
    subprocess.run([sys.executable, "-m", "venv", made], check=True)
    install.relocate(made, place)
    made.rename(place)
    done = subprocess.run([place / "bin" / "pip", "--version"], capture_output=True, text=True, check=True)
    assert str(place / "lib") in done.stdout


@pytest.mark.parametrize("target", ["down", "status", "logs", "psql"])
def test_targets_that_must_always_work_do_not_install(target: str) -> None:
    plan = subprocess.run(["make", "--dry-run", target], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert "include.platform.installation.install" not in plan.stdout
    assert f"include.platform {target}" in plan.stdout


def test_down_says_that_nothing_is_installed(tmp_path: Path) -> None:
    shutil.copy(REPOSITORY / "Makefile", tmp_path)
    done = subprocess.run(["make", "down"], cwd=tmp_path, capture_output=True, text=True)
    assert "Nothing is installed here, so nothing runs" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["Makefile"]


@pytest.mark.parametrize(
    ("system", "machine", "libc"),
    [("Darwin", "arm64", ""), ("Linux", "aarch64", "glibc"), ("Linux", "x86_64", ""), ("Windows", "AMD64", "")],
)
def test_other_machines_are_refused_in_a_sentence(system: str, machine: str, libc: str) -> None:
    assert "Linux on x86-64 with glibc is needed" in install.unsupported(system, machine, libc)
    assert install.unsupported("Linux", "x86_64", "glibc") == ""


def test_unsupported_python_is_reported_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(install, "OLDEST", (3, 90))
    monkeypatch.setattr(install, "NEWEST", (3, 99))
    monkeypatch.setattr(install, "_ANOTHER_PYTHON", ["python3.90"])
    assert install.main(tmp_path / "venv") == 1
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "Python 3.90 to 3.99 is needed" in message
    assert "make PYTHON=" in message
    assert not (tmp_path / "venv").exists()


def test_it_needs_nothing_but_the_standard_library() -> None:
    code = "import sys, include.platform.installation.install; print(*sorted(n.split('.')[0] for n in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    foreign = set(done.stdout.split()) - set(sys.stdlib_module_names) - {"include", "__main__"}
    assert foreign == set()


@pytest.mark.parametrize("files", ["a.csv b.csv.gz", '"my file.csv" b.csv', "'it is.csv'"])
def test_files_with_blanks_can_be_loaded(files: str) -> None:
    plan = subprocess.run(
        ["make", "--dry-run", "load", f"FILES={files}"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    (line,) = [one for one in plan.stdout.splitlines() if "include.platform load" in one]
    assert shlex.split(line)[-len(shlex.split(files)) :] == shlex.split(files)
    assert "Name the files" not in plan.stdout
    named = subprocess.run(["make", "--dry-run", "load"], cwd=REPOSITORY, capture_output=True, text=True)
    assert "exit 2" in named.stdout


def wheel(folder: Path, name: str, files: dict[str, str]) -> Path:
    """Create the wheel of a package, version 0.0.1, with a script that calls its ``main``."""
    information = f"{name}-0.0.1.dist-info"
    contents = {
        **files,
        f"{information}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.0.1\n",
        f"{information}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{information}/entry_points.txt": f"[console_scripts]\nwhere-{name} = {name}:main\n",
    }
    contents[f"{information}/RECORD"] = "".join(f"{file},,\n" for file in contents)
    made = folder / f"{name}-0.0.1-py3-none-any.whl"
    with zipfile.ZipFile(made, "w") as archive:
        for file, text in contents.items():
            archive.writestr(file, text)
    return made


def archive_of_sources(folder: Path, name: str) -> Path:
    """Create a source archive that only the locked setuptools of this test, in ``_BUILDS``, can build."""
    source = folder / "source" / f"{name}-0.0.1"
    source.mkdir(parents=True)
    wheel(source, name, {f"{name}.py": _SAYS_WHERE})
    (source / "PKG-INFO").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.0.1\n")
    (source / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools>=40.8"]\nbuild-backend = "setuptools.build_meta"\n'
    )
    made = folder / f"{name}-0.0.1.tar.gz"
    with tarfile.open(made, "w:gz") as archive:
        archive.add(source, source.name)
    return made


def locked_as(file: Path) -> str:
    """Return the lines that lock the file of a package."""
    name = file.name.partition("-")[0]
    return f"{name}==0.0.1 \\\n    --hash=sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}\n"


_SAYS_WHERE = "import sys\n\n\ndef main():\n    print(sys.prefix)\n"
_BUILDS = """
import pathlib, shutil

def build_wheel(directory, settings=None, metadata=None):
    (made,) = pathlib.Path.cwd().glob("*.whl")
    shutil.copy(made, directory)
    return made.name
"""


def test_new_environment_takes_the_place_of_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_network(monkeypatch)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    lock = tmp_path / "requirements.txt"
    # This uv fails when it runs as a program, which makes the installer fall back to pip.
    files = [
        wheel(tmp_path, "uv", {"uv.py": f"{_SAYS_WHERE}\n\nassert __name__ != '__main__'\n"}),
        wheel(tmp_path, "setuptools", {"setuptools/__init__.py": _SAYS_WHERE, "setuptools/build_meta.py": _BUILDS}),
        archive_of_sources(tmp_path, "pyspark"),
    ]
    lock.write_text("".join(map(locked_as, files)))
    monkeypatch.setattr(install, "REQUIREMENTS", lock)
    before = os.umask(0o077)
    try:
        place = environment_of(tmp_path / "my shop" / ".venv", sys.version_info[:2], b"an older lock")
        (place / "old").touch()
        assert install.main(place) == 0
    finally:
        os.umask(before)
    assert not (place / "old").exists()
    assert sorted(path.name for path in place.parent.iterdir()) == [".venv", ".venv.lock"]
    for name in ("where-uv", "where-pyspark"):
        done = subprocess.run([place / "bin" / name], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == str(place)
    # PostgreSQL's programs may be run by another user.
    assert (place / "bin" / "where-uv").stat().st_mode & 0o055 == 0o055
    made = place.stat().st_ino
    assert install.main(place) == 0
    assert place.stat().st_ino == made
