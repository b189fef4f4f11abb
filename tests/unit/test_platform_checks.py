"""Tests of the checks that run before anything starts."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from include.errors import PlatformError
from include.platform.commands import checks
from include.platform.commands.report import Report
from include.platform.commands.up import Startup
from include.settings import REPOSITORY, Settings
from tests.support.disks import fill, small_disk
from tests.support.sockets import free_ports


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Yield a socket that occupies a port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def settings_with(ports: list[int], home: Path) -> Settings:
    """Return settings whose services have the given ports, in the order of ``Settings.ports``."""
    names = (
        "port",
        "spark_master_port",
        "spark_rest_port",
        "spark_master_ui_port",
        "spark_worker_port",
        "spark_worker_ui_port",
        "spark_driver_ui_port",
        "metrics_port",
    )
    return Settings(home=home, **dict(zip(names, ports, strict=True)))


def test_free_ports_pass(tmp_path: Path) -> None:
    checks.check_ports(settings_with(free_ports(8), tmp_path))


def test_taken_port_names_its_holder_and_the_variable(tmp_path: Path, listener: socket.socket) -> None:
    taken = listener.getsockname()[1]
    free = free_ports(7)
    with pytest.raises(PlatformError) as caught:
        checks.check_ports(settings_with([*free[:3], taken, *free[3:]], tmp_path))
    message = str(caught.value)
    assert f"port {taken} (spark-master-ui)" in message
    assert f"pid {os.getpid()}" in message
    assert "set SHOPSTREAM_SPARK_MASTER_UI_PORT" in message


@pytest.mark.parametrize("index", range(8))
def test_the_named_variable_exists_and_moves_the_port(index: int, tmp_path: Path, listener: socket.socket) -> None:
    taken = listener.getsockname()[1]
    ports = free_ports(8)
    ports[index] = taken
    with pytest.raises(PlatformError) as caught:
        checks.check_ports(settings_with(ports, tmp_path))
    (variable,) = re.findall(r"set (SHOPSTREAM_\w+) to a free port", str(caught.value))
    moved = Settings.from_env({variable: "12345"})
    assert list(moved.ports.values())[index] == 12345


def test_too_little_disk_names_the_place_and_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "LEAST_FREE_GIB", 10.0**9)
    with pytest.raises(PlatformError, match="nothing has been started") as caught:
        checks.check_machine(Settings(home=tmp_path))
    assert str(tmp_path) in str(caught.value)
    assert "SHOPSTREAM_HOME" in str(caught.value)


def test_a_full_disk_is_refused_before_anything_is_created(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "LEAST_FREE_GIB", 10.0**9)
    with pytest.raises(PlatformError):
        Startup(Settings(home=tmp_path / "home"), Report()).run()
    assert not (tmp_path / "home").exists()


def test_a_full_disk_says_what_can_be_deleted_and_what_never(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "LEAST_FREE_GIB", 10.0**9)
    settings = Settings(home=tmp_path)
    settings.archive_dir.mkdir()
    with pytest.raises(PlatformError) as caught:
        checks.check_machine(settings)
    assert f"{settings.archive_dir} can be deleted safely" in str(caught.value)
    assert f"never delete anything in {settings.postgres_dir}" in str(caught.value)


@pytest.mark.parametrize(
    ("options", "leave_bytes", "found"),
    [
        ("size=64m", 0, "has 0.0 GiB free, 3 are needed"),
        ("size=64m", 50_000_000, "has 0.0 GiB free, 3 are needed"),
        ("size=64m,nr_inodes=500", 50_000_000, "more files (free inodes), 20,000 are needed"),
    ],
)
def test_make_up_on_a_full_disk_is_refused_and_changes_nothing(
    tmp_path: Path, options: str, leave_bytes: int, found: str
) -> None:
    """PostgreSQL needs free space to recover after a crash on a full disk, so nothing starts without it."""
    with small_disk(tmp_path / "disk", options) as disk:
        archive, data = disk / "home" / "landing-archive", disk / "home" / "postgres"
        for folder in (archive, data):
            folder.mkdir(parents=True)
        fill(disk, leave_bytes=leave_bytes)
        before = sorted(disk.rglob("*"))
        done = subprocess.run(
            [sys.executable, "-m", "include.platform", "up"],
            cwd=REPOSITORY,
            env={**os.environ, "SHOPSTREAM_HOME": str(disk / "home")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert sorted(disk.rglob("*")) == before
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode != 0
    assert "nothing has been started" in said
    assert found in said
    assert f"{archive} can be deleted safely" in said
    assert f"never delete anything in {data}" in said
    assert "Traceback" not in said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user without a name")
def test_a_user_without_a_name_is_refused() -> None:
    code = "import os, sys; from include.settings import Settings\n"
    code += "from include.platform.commands.checks import check_machine\n"
    code += "settings = Settings(home='/tmp/none-such/home'); os.setuid(12345); check_machine(settings)"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True)
    assert "the user id 12345 has no user name, which PostgreSQL needs" in done.stderr


def test_a_port_that_is_taken_on_another_address_is_found(tmp_path: Path) -> None:
    ports = free_ports(8)
    settings = settings_with(ports, tmp_path).model_copy(update={"bind_host": "0.0.0.0"})
    # The port is taken on another loopback address, so a server on all addresses cannot bind it.
    with socket.create_server(("127.0.0.2", ports[2])), pytest.raises(PlatformError, match=f"port {ports[2]} "):
        checks.check_ports(settings)


def test_an_address_of_another_machine_is_refused(tmp_path: Path) -> None:
    settings = settings_with(free_ports(8), tmp_path).model_copy(update={"bind_host": "192.0.2.1"})
    with pytest.raises(PlatformError, match=r"does not have the address 192\.0\.2\.1.*SHOPSTREAM_BIND_HOST"):
        checks.check_ports(settings)


def test_every_missing_tool_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(checks, "LEAST_FREE_INODES", 10**15)
    with pytest.raises(PlatformError) as caught:
        checks.check_machine(Settings(home=tmp_path))
    assert "1,000,000,000,000,000 are needed" in str(caught.value)
    assert "bash is missing" in str(caught.value)
