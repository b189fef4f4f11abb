"""What the operator needs of a Spark cluster, whatever its kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from include.settings import Settings


@dataclass(frozen=True)
class Submission:
    """What ``spark-submit`` is told.

    Parameters
    ----------
    application, arguments:
        What the driver runs.
    conf:
        Spark properties that must be known at launch; the job configures its own SQL.
    driver_memory:
        Heap of the driver's JVM.
    environment:
        Of ``spark-submit`` itself; a standalone master copies it to the driver.
    java_class:
        The main class, when the application is a jar.
    pod:
        The name that the driver's pod is to get, on Kubernetes.
    """

    application: str
    arguments: list[str]
    conf: dict[str, str]
    driver_memory: str
    environment: Mapping[str, str]
    java_class: str | None = None
    pod: str | None = None


class Cluster(Protocol):
    """One Spark cluster. A driver is known by the id that its kind of cluster gives it."""

    @property
    def passing_errors(self) -> tuple[type[Exception], ...]:
        """What a look at a driver raises while the cluster is away for a moment."""

    def check_reachable(self) -> None:
        """Refuse before ``spark-submit`` spends a minute on tries of its own (PlatformError)."""

    def submission(self, settings: Settings, job: str, arguments: Sequence[str]) -> Submission:
        """How a driver of that job, a path within the repository, is launched."""

    def log_page(self, driver_id: str) -> str | None:
        """Address of the page that shows the driver's log; None where there is none."""

    def log_tails(self, driver_id: str) -> dict[str, str]:
        """The end of the driver's logs, by name; what cannot be reached is left out."""

    def kill(self, driver_id: str) -> str:
        """End a driver, for good; returns the cluster's answer. PlatformError when none comes."""
