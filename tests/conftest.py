"""Fixtures for every test folder. Tests use real services, which start when the first test needs them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings

from include.settings import Settings

# On a shared machine, the duration of an example says nothing about the code.
hypothesis_settings.register_profile("shared machine", deadline=None)
hypothesis_settings.load_profile("shared machine")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Settings]:
    """Yield a PostgreSQL cluster with every role: the one of `make test`, or one of this session."""
    from tests.support.postgres import shared_cluster

    with shared_cluster() as settings:
        yield settings


@pytest.fixture
def database(cluster: Settings, tmp_path: Path) -> Iterator[Settings]:
    """Yield settings of a new database, migrated and with its views, and of empty directories; drop it afterwards."""
    from tests.support.postgres import cloned_database

    with cloned_database(cluster, tmp_path / "home") as settings:
        yield settings
