"""Fixtures of every test folder. Whatever needs a service gets the real one; it starts when the first test asks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings

from include.settings import Settings

# How long an example takes on a machine that others use says nothing about the code.
hypothesis_settings.register_profile("shared machine", deadline=None)
hypothesis_settings.load_profile("shared machine")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Settings]:
    """A PostgreSQL cluster with every role, for the session."""
    from tests.support.postgres import running_cluster

    with running_cluster() as settings:
        yield settings


@pytest.fixture
def database(cluster: Settings, tmp_path: Path) -> Iterator[Settings]:
    """Settings of a fresh database, migrated and with its views, and of empty directories; dropped afterwards."""
    from tests.support.postgres import cloned_database

    with cloned_database(cluster, tmp_path / "home") as settings:
        yield settings
