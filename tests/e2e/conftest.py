"""Provide one whole platform for all end-to-end tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.platform import Platform
from tests.support.postgres import temporary_home


@pytest.fixture(scope="session")
def _platform_of_session() -> Iterator[Platform]:
    with temporary_home() as home:
        platform = Platform(home)
        yield platform
        platform.run("include.platform", "down")


@pytest.fixture
def platform(_platform_of_session: Platform) -> Platform:
    """Return a running platform. Start it for the first test, and again after a test that stopped it."""
    if not _platform_of_session.status()["is_up"]:
        _platform_of_session.up()
    return _platform_of_session
