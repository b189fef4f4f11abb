"""What is checked before anything starts."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

import pytest

from include.errors import PlatformError
from include.platform import checks
from include.settings import Settings
from tests.support.sockets import free_ports


@pytest.fixture
def listener() -> socket.socket:
    """A port that this process has."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def settings_with(ports: list[int], home: Path) -> Settings:
    """Settings whose services have the given ports, in the order of ``Settings.ports``."""
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
def test_the_variable_that_is_named_exists_and_moves_the_port(
    index: int, tmp_path: Path, listener: socket.socket
) -> None:
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


def test_every_missing_tool_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "_CURL", tmp_path / "curl")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PlatformError) as caught:
        checks.check_machine(Settings(home=tmp_path))
    assert "install curl" in str(caught.value)
    assert "bash is missing" in str(caught.value)
