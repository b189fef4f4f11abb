"""Set up Airflow for the tests: a home of its own, the platform's Connections, and runs of whole DAGs."""

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
    """Return the settings of a new database, and set its Connections and settings in the environment."""
    from include.platform.instance.environment import settings_environment

    for name, value in {**connection_variables(database), **settings_environment(database)}.items():
        monkeypatch.setenv(name, value)
    return database


@pytest.fixture(scope="session")
def metadata() -> Path:
    """Return a migrated metadata database of Airflow that tests copy."""
    return make_metadata(airflow_home.HOME / "template")


@pytest.fixture
def start_dag(metadata: Path, tmp_path: Path) -> Iterator[StartDag]:
    """Yield a function that starts runs of DAGs, each with its own metadata database; stop them at the end."""
    runs: list[DagTest] = []

    def start(settings: Settings, dag_id: str, params: Mapping[str, object] | None = None) -> DagTest:
        runs.append(DagTest(settings, dag_id, params, metadata=metadata, home=tmp_path / f"{dag_id}-{len(runs)}"))
        return runs[-1]

    yield start
    for run in runs:
        run.stop()
