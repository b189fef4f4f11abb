"""Tests that the commands create and delete only Shopstream's own files in the state directory."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from include.errors import PlatformError
from include.platform import __main__ as commands
from include.platform.instance.home import claim_home, delete_home, exclusive, is_instance, make_directories
from include.settings import REPOSITORY, Settings
from tests.support.waiting import wait_until


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a directory of the user that holds other work."""
    home = tmp_path / "home"
    (home / "thesis").mkdir(parents=True)
    (home / "thesis" / "chapter.txt").write_text("a year of work")
    return home


def run(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the platform for this home."""
    return subprocess.run(
        [sys.executable, "-m", "include.platform", *arguments],
        cwd=REPOSITORY,
        env={"PATH": "/usr/bin:/bin", "SHOPSTREAM_HOME": str(home)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


def names(home: Path) -> list[str]:
    """Return the sorted names in a directory."""
    return sorted(path.name for path in home.iterdir())


def test_down_and_clean_leave_a_foreign_directory_alone(home: Path) -> None:
    assert "was not running" in run(home, "down").stdout
    assert run(home, "status").returncode == 3
    assert names(home) == ["thesis"]
    cleaned = run(home, "clean", "--yes")
    assert cleaned.returncode == 1
    assert "was not created by Shopstream" in cleaned.stderr
    assert (home / "thesis" / "chapter.txt").read_text() == "a year of work"


@pytest.mark.parametrize("command", [["user", "anna"], ["alert-test"], ["dsn"]])
def test_no_command_creates_secrets_in_a_foreign_directory(home: Path, command: list[str]) -> None:
    run(home, *command)
    assert names(home) == ["thesis"]


def test_down_and_status_do_not_make_the_directory(tmp_path: Path) -> None:
    home = tmp_path / "none"
    run(home, "down")
    run(home, "status")
    assert not home.exists()


def test_up_refuses_a_foreign_directory_and_leaves_it_unchanged(home: Path) -> None:
    mode = home.stat().st_mode
    refused = run(home, "up")
    assert refused.returncode == 1
    assert "was not created by Shopstream: it holds thesis" in refused.stderr
    assert names(home) == ["thesis"]
    assert home.stat().st_mode == mode


def test_a_lock_file_does_not_make_a_directory_an_instance(home: Path) -> None:
    (home / "lifecycle.lock").touch()
    assert run(home, "clean", "--yes").returncode == 1
    assert (home / "thesis").exists()


def test_clean_keeps_files_of_the_user_beside_the_data(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    claim_home(settings)
    make_directories(settings)
    (settings.root / "notes.txt").write_text("mine")
    cleaned = run(settings.root, "clean", "--yes")
    assert cleaned.returncode == 0
    assert "left in place, not Shopstream's: notes.txt" in cleaned.stdout
    assert names(settings.root) == ["notes.txt"]


def test_clean_deletes_the_directory_of_an_instance(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    claim_home(settings)
    make_directories(settings)
    assert run(settings.root, "clean", "--yes").returncode == 0
    assert not settings.root.exists()


def test_clean_does_not_follow_a_link_out_of_the_directory(tmp_path: Path, home: Path) -> None:
    settings = Settings(home=tmp_path / "instance")
    claim_home(settings)
    settings.landing_dir.symlink_to(home)
    assert delete_home(settings) == []
    assert (home / "thesis" / "chapter.txt").exists()


def test_an_instance_of_an_earlier_version_is_recognized_and_marked(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    make_directories(settings)
    (settings.root / "lifecycle.json").write_text("{}")
    assert is_instance(settings)
    claim_home(settings)
    assert ".shopstream-instance" in names(settings.root)
    # The mark counts from now on, whatever files lie beside the data.
    (settings.root / "notes.txt").touch()
    assert is_instance(settings)


def test_every_file_that_the_code_creates_in_the_state_directory_is_known(tmp_path: Path) -> None:
    named = {
        name
        for path in sorted((REPOSITORY / "include").rglob("*.py"))
        for name in re.findall(r'settings\.root / "([^"]+)"', path.read_text(encoding="utf-8"))
    }
    assert {"outage.json", "spark"} <= named
    settings = Settings(home=tmp_path / "home")
    claim_home(settings)
    for name in named:
        (settings.root / name).touch()
    assert delete_home(settings) == []


def test_an_empty_directory_is_no_instance_until_it_is_marked(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    assert not is_instance(settings)
    claim_home(settings)
    assert is_instance(settings)


def test_a_platform_that_starts_while_clean_asks_is_not_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(home=tmp_path / "home")
    claim_home(settings)
    make_directories(settings)
    started: list[subprocess.Popen[bytes]] = []

    def answer(question: str) -> str:
        mark = {"PLATFORM_HOME": str(settings.root), "PLATFORM_PROGRAM": "postgres"}
        started.append(subprocess.Popen(["sleep", "600"], env=mark))
        # Popen returns a moment before the kernel shows the environment of the new program.
        environ = Path(f"/proc/{started[0].pid}/environ")
        wait_until(lambda: b"PLATFORM_HOME" in environ.read_bytes(), seconds=10, what="the environment of the process")
        return "yes"

    monkeypatch.setattr("builtins.input", answer)
    monkeypatch.setattr(commands.sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("SHOPSTREAM_HOME", str(settings.root))
    try:
        assert commands.main(["clean"]) == 1
        assert settings.log_dir.exists()
    finally:
        for process in started:
            process.kill()
            process.wait()


def test_symbols_that_the_terminal_cannot_show_become_question_marks(home: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "include.platform", "clean", "--yes"],
        cwd=REPOSITORY,
        env={"PATH": "/usr/bin:/bin", "SHOPSTREAM_HOME": str(home), "PYTHONIOENCODING": "iso-8859-1"},
        capture_output=True,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(b"? ")
    assert b"Traceback" not in done.stderr


def test_clean_is_refused_while_another_command_runs(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    claim_home(settings)
    make_directories(settings)
    with exclusive(settings, "make up"):
        refused = run(settings.root, "clean", "--yes")
    assert "another command works on" in refused.stderr
    assert settings.log_dir.exists()


def test_an_instance_is_closed_to_other_users_under_every_umask(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    make_directories(settings)
    for directory in (settings.root, settings.log_dir, settings.archive_dir):
        directory.chmod(0o777)
    claim_home(settings)
    assert settings.root.stat().st_mode & 0o777 == 0o700
    assert settings.log_dir.stat().st_mode & 0o777 == 0o700
    assert settings.archive_dir.stat().st_mode & 0o777 == 0o700
    claim_home(settings, passable=True)
    assert settings.root.stat().st_mode & 0o777 == 0o711


def test_a_home_that_cannot_be_created_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PlatformError, match="cannot be used as a state directory"):
        claim_home(Settings(home=tmp_path / "file" / "home"))
