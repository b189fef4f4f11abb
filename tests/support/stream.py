"""Create the parts of a stream without Spark: an epoch and an admission."""

from __future__ import annotations

from typing import Any

from include.settings import Settings
from include.stream.intake.admission import Admission
from include.stream.intake.landing import Landing
from include.stream.supervision.epoch import Driver, take_epoch

MIB = 1024 * 1024


def next_epoch(settings: Settings, query: str = "events") -> int:
    """Take the writer epoch, as a driver that has just started does."""
    return take_epoch(settings.dsn("ingest"), query, Driver("continuous", "test", 1))


def admission_of(
    settings: Settings, epoch: int, query: str = "events", *, takes_over: bool = True, **options: Any
) -> Admission:
    """Return the admission of the driver that holds ``epoch``, for the folders of the settings."""
    limits = {"max_files": 10, "max_bytes": MIB, "slice_bytes": MIB // 2, **options}
    landing = Landing.of(settings)
    landing.make()
    if takes_over:
        landing.take_over(epoch)
    return Admission(settings.dsn("ingest"), landing, query, epoch, **limits)
