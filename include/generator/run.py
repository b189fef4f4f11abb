"""Runs the generator: each file with its manifest into place, at the promised rate."""

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

# How long a wish to stop may go unheard while waiting for the next file, seconds.
_WAIT_SLICE_SECONDS = 0.1


@dataclass(frozen=True)
class Totals:
    """What a run delivered.

    ``behind_seconds`` is how long after the end of its window the last file of a paced run appeared.
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

    A file is whole from the moment it can be seen, and its manifest is there before it. A paced file appears when the
    wall clock reaches the end of its window; one that is late appears at once, so a run that starts in the past or was
    held up catches up. Delivering the same run twice delivers the same bytes again.

    Parameters
    ----------
    options:
        The run.
    landing_dir, manifest_dir:
        Where files and manifests go; made when missing.
    on_file:
        Called with the manifest of each file after the file is there.
    stop:
        Asked between files and while waiting; true ends the run after the last whole file.

    Raises
    ------
    ShopstreamError
        When a run that is not paced would reach into the future, a different run has used the same names, or a file
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
            # The manifest first: whoever sees the file can know what is in it.
            write_manifest(file.manifest, manifest_dir)
            write_by_rename(landing_dir / file.manifest.file, *file.content)
            behind = max(0.0, time.time() - file.due) if options.is_paced else 0.0
            totals = _add(totals, file.manifest, time.monotonic() - begin, behind)
            if on_file:
                on_file(file.manifest)
    except OSError as error:
        raise ShopstreamError(
            f"{error.filename or landing_dir} cannot be written: {error.strerror}",
            "Make room on the disk or mend its permissions, and start the run again",
        ) from error
    return totals


def _refuse_the_future(options: GeneratorOptions) -> None:
    """Events past the tolerance of the contract would be rejected, against what their manifests say."""
    if options.is_paced or options.duration_seconds is None:
        return
    end = options.start + timedelta(seconds=options.duration_seconds)
    if end > datetime.now(UTC) + timedelta(minutes=FUTURE_TOLERANCE_MINUTES):
        raise SettingsError(
            f"the run is not paced and would end at {end.isoformat()}, in the future",
            "Choose an earlier start or a shorter duration, or pace it",
        )


def _wait_until(due: float, stop: Callable[[], bool] | None) -> bool:
    """Wait for the wall clock, which is asked anew each time, so that no error adds up; false when told to stop."""
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
