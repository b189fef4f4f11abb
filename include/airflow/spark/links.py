"""Define the links on the page of the task that runs the stream."""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseOperatorLink


class _PublishedLink(BaseOperatorLink):
    """A link whose address the operator determines while it runs, and stores in ``operator.links``."""

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the address, or an empty string while it is unknown."""
        return operator.links.get(self.name, "")


class SparkUiLink(_PublishedLink):
    """The web UI of the job."""

    name = "Spark UI"


class DriverLogLink(_PublishedLink):
    """The driver's log, served by the worker that runs it."""

    name = "Driver log"
