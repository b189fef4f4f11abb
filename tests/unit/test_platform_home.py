"""The state directory: the lock, the memory of the lifecycle, secrets, and the tails of logs."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.errors import PlatformError
from include.platform.home import Memory, exclusive, make_directories
from include.platform.logs import follow, tail
from include.platform.secrets import admin_password, admin_password_file, keep_secret
from include.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Of an empty home."""
    return Settings(home=tmp_path / "home")


def test_two_commands_at_once_are_refused(settings: Settings) -> None:
    with exclusive(settings, "make up"):
        refused = pytest.raises(PlatformError, match=r"another command works on .*: make up, pid \d+")
        with refused, exclusive(settings, "make down"):
            pytest.fail("both were let in")
    with exclusive(settings, "make down"):
        pass


def test_memory_is_kept(settings: Settings) -> None:
    make_directories(settings)
    assert Memory.load(settings) == Memory()
    memory = Memory(introduced=["a"], paused_by_down=["b"], bootstrapped="c", settings={"SHOPSTREAM_PORT": "9000"})
    memory.save(settings)
    assert Memory.load(settings) == memory


def test_directories_can_be_made_again(settings: Settings) -> None:
    make_directories(settings)
    make_directories(settings)
    assert settings.landing_dir.is_dir()
    assert settings.secrets_dir.stat().st_mode & 0o777 == 0o700


def test_secret_is_made_once_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "key"
    assert keep_secret(path, lambda: "first") == "first"
    assert keep_secret(path, lambda: "second") == "first"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["key"]


def test_admin_password_can_be_chosen(settings: Settings) -> None:
    assert len(admin_password(settings)) >= 16
    admin_password_file(settings).write_text("of my own\n")
    assert admin_password(settings) == "of my own"


def test_tail_gives_the_last_lines_of_a_long_file(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("".join(f"line {number}\n" for number in range(100_000)))
    assert tail(path, 2) == ["line 99998", "line 99999"]
    assert tail(tmp_path / "missing", 2) == []


def test_unknown_log_lists_those_that_there_are(settings: Settings) -> None:
    make_directories(settings)
    with pytest.raises(PlatformError, match="make up"):
        follow(settings, None)
    (settings.log_dir / "scheduler.log").touch()
    with pytest.raises(PlatformError, match="Choose one of: scheduler"):
        follow(settings, "webserver")
