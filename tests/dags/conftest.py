"""Airflow for tests: a home of its own, the platform's Connections, and runs of whole DAGs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from include.settings import Settings
from tests.support import airflow_home
from tests.support.airflow import DagTest, connection_variables, make_metadata

StartDag = Callable[..., DagTest]


def pytest_unconfigure() -> None:
    """Remove Airflow's home."""
    airflow_home.remove()


@pytest.fixture
def airflow(database: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The fresh database; the Connections to it and its settings are in the environment of this process."""
    from include.platform.instance.environment import settings_environment

    for name, value in {**connection_variables(database), **settings_environment(database)}.items():
        monkeypatch.setenv(name, value)
    return database


@pytest.fixture(scope="session")
def metadata() -> Path:
    """A migrated metadata database of Airflow, to be copied."""
    return make_metadata(airflow_home.HOME / "template")


@pytest.fixture
def start_dag(metadata: Path, tmp_path: Path) -> Iterator[StartDag]:
    """Starts runs of DAGs, each with a metadata database to itself, and ends those that are left."""
    runs: list[DagTest] = []

    def start(settings: Settings, dag_id: str, params: Mapping[str, object] | None = None) -> DagTest:
        runs.append(DagTest(settings, dag_id, params, metadata=metadata, home=tmp_path / f"{dag_id}-{len(runs)}"))
        return runs[-1]

    yield start
    for run in runs:
        run.stop()
