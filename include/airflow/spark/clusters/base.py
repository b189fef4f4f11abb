"""Define the interface between the operator and a Spark cluster of any kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from include.settings import Settings


@dataclass(frozen=True)
class Submission:
    """The arguments of one ``spark-submit``.

    Parameters
    ----------
    application, arguments:
        The program that the driver runs, and its arguments.
    conf:
        Spark properties that must be known at launch; the job itself configures Spark SQL.
    driver_memory:
        Heap of the driver's JVM.
    environment:
        Environment of ``spark-submit`` itself; a standalone master copies it to the driver.
    java_class:
        The main class, when the application is a jar.
    pod:
        On Kubernetes, the name to give to the driver's pod.
    properties_file:
        File with more properties, including secrets, which must not be on a command line.
    """

    application: str
    arguments: list[str]
    conf: dict[str, str]
    driver_memory: str
    environment: Mapping[str, str]
    java_class: str | None = None
    pod: str | None = None
    properties_file: str | None = None


class Cluster(Protocol):
    """One Spark cluster. Each kind of cluster has its own format of driver ids."""

    @property
    def passing_errors(self) -> tuple[type[Exception], ...]:
        """The errors of a status request that mean that the cluster is temporarily unavailable."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The HTTP headers that the cluster's REST server requires for a request about a driver."""

    def check_reachable(self) -> None:
        """Raise PlatformError if the cluster is unreachable, before ``spark-submit`` retries for a minute."""

    def submission(self, settings: Settings, job: str, arguments: Sequence[str]) -> Submission:
        """Return how to launch a driver for the job, which is a path within the repository."""

    def log_page(self, driver_id: str) -> str | None:
        """Return the address of the page that shows the driver's log, or None if there is none."""

    def log_tails(self, driver_id: str) -> dict[str, str]:
        """Return the ends of the driver's logs by name; omit logs that cannot be reached."""

    def kill(self, driver_id: str) -> str:
        """End a driver permanently; return the cluster's answer, or raise PlatformError if there is none."""
