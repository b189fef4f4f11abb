"""Run the event generator as a task."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from include.settings import Settings

if TYPE_CHECKING:
    from include.manifest import Manifest

_log = logging.getLogger(__name__)
_PROGRESS_SECONDS = 10.0


def generate(params: Any = None) -> dict[str, Any]:
    """Deliver event files according to the run's params; return the totals."""
    # Import Faker only in this task, because its import is slow.
    from include.generator.options import GeneratorOptions
    from include.generator.run import generate as deliver

    settings = Settings.from_env()
    rate = params["events_per_second"] or settings.feed_events_per_second
    options = GeneratorOptions(
        **{
            **params,
            "start": datetime.now(UTC),
            "events_per_second": rate,
            "rows_per_file": params["rows_per_file"] or max(1, round(rate)),
        }
    )
    _log.info("Delivering %s to %s: %s", options.run, settings.landing_dir, options)
    totals = asdict(deliver(options, settings.landing_dir, settings.manifest_dir, on_file=_progress()))
    _log.info("Delivered %s", totals)
    return totals


def _progress() -> Any:
    files = rows = 0
    log_at = time.monotonic()

    def on_file(manifest: Manifest) -> None:
        nonlocal files, rows, log_at
        files, rows = files + 1, rows + manifest.rows
        if time.monotonic() >= log_at:
            log_at = time.monotonic() + _PROGRESS_SECONDS
            _log.info("%s delivered: %s files, %s rows so far", manifest.file, f"{files:,}", f"{rows:,}")

    return on_file
