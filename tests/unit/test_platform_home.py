"""Tests of the state directory: its lock, the memory of the lifecycle, secrets, and the tails of logs."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from include.errors import PlatformError
from include.platform.commands.logs import follow, tail
from include.platform.instance.home import Memory, exclusive, make_directories
from include.platform.instance.secrets import admin_password, admin_password_file, keep_secret
from include.platform.services import postgres
from include.settings import ROLES, Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return settings of a home that does not exist yet."""
    return Settings(home=tmp_path / "home")


def test_two_commands_at_once_are_refused(settings: Settings) -> None:
    settings.root.mkdir()
    with exclusive(settings, "make up"):
        refused = pytest.raises(PlatformError, match=r"another command works on .*: make up, pid \d+")
        with refused, exclusive(settings, "make down"):
            pytest.fail("both were let in")
    with exclusive(settings, "make down"):
        pass


def test_the_lock_works_on_a_full_disk(settings: Settings) -> None:
    settings.root.mkdir()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # As on a full disk, a file can be opened but cannot grow.
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        with exclusive(settings, "make down"):
            entered = True
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert entered


def test_memory_is_saved_and_loaded(settings: Settings) -> None:
    make_directories(settings)
    assert Memory.load(settings) == Memory()
    memory = Memory(introduced=["a"], paused_by_down=["b"], bootstrapped="c", settings={"SHOPSTREAM_PORT": "9000"})
    memory.save(settings)
    assert Memory.load(settings) == memory


@pytest.mark.parametrize("content", ["", "{", "[]", '{"of_another_version": 1, "introduced": ["a"], "settings": null}'])
def test_memory_that_is_truncated_or_of_another_version_is_tolerated(settings: Settings, content: str) -> None:
    settings.root.mkdir()
    (settings.root / "lifecycle.json").write_text(content)
    memory = Memory.load(settings)
    assert memory.settings == {}
    assert memory.introduced in ([], ["a"])


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


def test_secret_is_private_under_every_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        keep_secret(tmp_path / "secrets" / "key", lambda: "first")
    finally:
        os.umask(before)
    assert (tmp_path / "secrets" / "key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700


def test_empty_secret_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("\n")
    with pytest.raises(PlatformError, match=r"key is empty, perhaps after a power cut\. .*delete it"):
        keep_secret(tmp_path / "key", lambda: "new")


def test_a_role_that_is_new_in_this_version_gets_a_password(tmp_path: Path) -> None:
    passfile = tmp_path / "pgpass"
    passfile.write_text("*:*:*:shop_owner:kept\n*:*:*:postgres:of the user\n")
    postgres.complete_passwords(passfile)
    passwords = postgres.ensure_passwords(passfile)
    assert passwords["shop_owner"] == "kept"
    assert passwords["postgres"] == "of the user"
    assert set(passwords) == {"postgres", *(f"shop_{role}" for role in ROLES)}
    assert passfile.stat().st_mode & 0o777 == 0o600


def test_admin_password_can_be_chosen(settings: Settings) -> None:
    assert len(admin_password(settings)) >= 16
    admin_password_file(settings).write_text("of my own\n")
    assert admin_password(settings) == "of my own"


def test_tail_gives_the_last_lines_of_a_long_file(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("".join(f"line {number}\n" for number in range(100_000)))
    assert tail(path, 2) == ["line 99998", "line 99999"]
    assert tail(tmp_path / "missing", 2) == []


def test_an_unknown_log_name_lists_the_existing_logs(settings: Settings) -> None:
    make_directories(settings)
    with pytest.raises(PlatformError, match="make up"):
        follow(settings, None)
    (settings.log_dir / "scheduler.log").touch()
    with pytest.raises(PlatformError, match="Choose one of: scheduler"):
        follow(settings, "webserver")
