"""Tests that a failed start ends at once and gives its reason."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from include.errors import PlatformError
from include.platform.commands.report import Report
from include.platform.commands.up import Startup
from include.platform.services import postgres
from include.settings import Settings


class _WithoutPostgres(Startup):
    """Wait for Spark while PostgreSQL fails to start."""

    def _prepare(self) -> None:
        pass

    def _start_spark(self) -> None:
        self._wait(lambda: False, "Spark", ["spark-master"])

    def _start_postgres(self) -> None:
        raise PlatformError("PostgreSQL does not stay up")


def test_a_failure_ends_the_wait_for_another_program(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(PlatformError, match="PostgreSQL does not stay up"):
        _WithoutPostgres(Settings(home=tmp_path / "home"), Report()).run()
    assert time.monotonic() - began < 30


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a directory of another user")
def test_a_socket_directory_of_another_user_is_refused(tmp_path: Path) -> None:
    taken = tmp_path / "shopstream-0123456789ab"
    taken.mkdir()
    os.chown(taken, 65534, 65534)
    with pytest.raises(PlatformError, match="belongs to another user"):
        postgres.make_private(taken)


def test_a_link_in_place_of_the_socket_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PlatformError, match="belongs to another user"):
        postgres.make_private(tmp_path / "run")
