"""The installer that runs before anything is installed, and the lock that it installs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from include.platform import install
from include.settings import REPOSITORY

PYPROJECT = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
LOCK = (REPOSITORY / "requirements.txt").read_text(encoding="utf-8")


def locked() -> dict[str, list[str]]:
    """The versions of every package in the lock: more than one where Python versions differ."""
    versions: dict[str, list[str]] = {}
    for name, version in re.findall(r"^([a-z0-9-]+)==(\S+)", LOCK, re.MULTILINE):
        versions.setdefault(name, []).append(version)
    return versions


def direct_dependencies() -> list[Requirement]:
    """The dependencies that pyproject.toml names."""
    (block,) = re.findall(r"^dependencies = \[$(.*?)^\]$", PYPROJECT, re.MULTILINE | re.DOTALL)
    return [Requirement(text) for text in re.findall(r'^    "([^"]+)",', block, re.MULTILINE)]


def test_every_locked_package_has_hashes_and_no_address() -> None:
    for name in locked():
        assert "--hash=sha256:" in install.stanza(LOCK, name)
    assert "://" not in LOCK
    assert not re.search(r"^\s*(-i|--index-url|--extra-index-url|--find-links)\b", LOCK, re.MULTILINE)


def test_lock_satisfies_the_direct_dependencies() -> None:
    versions = locked()
    for dependency in direct_dependencies():
        assert all(version in dependency.specifier for version in versions[dependency.name]), str(dependency)


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


def test_environment_that_is_up_to_date_is_left_alone(tmp_path: Path) -> None:
    wanted = install.fingerprint(install.REQUIREMENTS.read_bytes(), sys.version_info[:2])
    (tmp_path / "installed").write_text(wanted)
    assert install.main(tmp_path) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["installed"]


def test_wrong_python_is_told_in_one_line(
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
    code = "import sys, include.platform.install; print(*sorted(n.split('.')[0] for n in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    foreign = set(done.stdout.split()) - set(sys.stdlib_module_names) - {"include", "__main__"}
    assert foreign == set()
