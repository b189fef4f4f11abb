"""Run the generator: deliver each file with its manifest at the requested rate."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from include.contract.rules import FUTURE_TOLERANCE_MINUTES
from include.errors import SettingsError, ShopstreamError
from include.generator.files import generate_files
from include.generator.options import GeneratorOptions
from include.manifest import Manifest, write_by_rename, write_manifest

# Longest delay before a stop request is noticed while waiting for the next file, seconds.
_WAIT_SLICE_SECONDS = 0.1


@dataclass(frozen=True)
class Totals:
    """The totals of what a run delivered.

    ``behind_seconds`` is the time from the end of the last file's window to its delivery, in a paced run.
    """

    files: int = 0
    rows: int = 0
    valid: int = 0
    bad: int = 0
    duplicates: int = 0
    late: int = 0
    elapsed_seconds: float = field(default=0.0, compare=False)
    behind_seconds: float = field(default=0.0, compare=False)

    @property
    def rows_per_second(self) -> float:
        """Rows delivered per second of wall time."""
        return self.rows / self.elapsed_seconds if self.elapsed_seconds else 0.0


def generate(
    options: GeneratorOptions,
    landing_dir: Path,
    manifest_dir: Path,
    on_file: Callable[[Manifest], None] | None = None,
    *,
    stop: Callable[[], bool] | None = None,
) -> Totals:
    """Deliver the files of a run.

    A file is complete as soon as it is visible, and its manifest is written before it. A paced file is delivered when
    the wall clock reaches the end of its window, or immediately if that time has passed, so a run that starts in the
    past or was delayed catches up. Delivering the same run twice delivers the same bytes again.

    Parameters
    ----------
    options:
        The options of the run.
    landing_dir, manifest_dir:
        The directories of files and manifests; created when missing.
    on_file:
        Called with the manifest of each file after the file has been delivered.
    stop:
        Called between files and while waiting; a true result ends the run after the last complete file.

    Raises
    ------
    ShopstreamError
        When a run that is not paced would end in the future, a different run has used the same file names, or a file
        cannot be written.
    """
    _refuse_the_future(options)
    begin = time.monotonic()
    totals = Totals()
    try:
        landing_dir.mkdir(parents=True, exist_ok=True)
        manifest_dir.mkdir(parents=True, exist_ok=True)
        for file in generate_files(options):
            if not _wait_until(file.due if options.is_paced else 0.0, stop):
                break
            # Write the manifest first, so that it exists for every visible file.
            write_manifest(file.manifest, manifest_dir)
            write_by_rename(landing_dir / file.manifest.file, *file.content)
            behind = max(0.0, time.time() - file.due) if options.is_paced else 0.0
            totals = _add(totals, file.manifest, time.monotonic() - begin, behind)
            if on_file:
                on_file(file.manifest)
    except OSError as error:
        raise ShopstreamError(
            f"{error.filename or landing_dir} cannot be written: {error.strerror}",
            "Make room on the disk or correct the permissions, and start the run again",
        ) from error
    return totals


def _refuse_the_future(options: GeneratorOptions) -> None:
    """Refuse a run that ends in the future: the loader would reject events that its manifests count as valid."""
    if options.is_paced or options.duration_seconds is None:
        return
    end = options.start + timedelta(seconds=options.duration_seconds)
    if end > datetime.now(UTC) + timedelta(minutes=FUTURE_TOLERANCE_MINUTES):
        raise SettingsError(
            f"the run is not paced and would end at {end.isoformat()}, in the future",
            "Choose an earlier start or a shorter duration, or pace it",
        )


def _wait_until(due: float, stop: Callable[[], bool] | None) -> bool:
    """Wait until the wall clock reaches ``due``; return false if stopped. Errors of sleep() do not add up."""
    while not (stop and stop()):
        missing = due - time.time()
        if missing <= 0:
            return True
        time.sleep(min(missing, _WAIT_SLICE_SECONDS))
    return False


def _add(totals: Totals, manifest: Manifest, elapsed_seconds: float, behind_seconds: float) -> Totals:
    return Totals(
        files=totals.files + 1,
        rows=totals.rows + manifest.rows,
        valid=totals.valid + manifest.valid,
        bad=totals.bad + manifest.rejected,
        duplicates=totals.duplicates + manifest.duplicates,
        late=totals.late + manifest.late,
        elapsed_seconds=elapsed_seconds,
        behind_seconds=behind_seconds,
    )
