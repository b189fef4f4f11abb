"""Define the options of one generator run; the same options give the same bytes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from include.errors import SettingsError

MAX_EVENTS_PER_SECOND = 1_000_000
MAX_ROWS_PER_FILE = 1_000_000
# At least this share of rows is ordinary traffic, since duplicates need rows to repeat.
MIN_ORDINARY_SHARE = 0.1


@dataclass(frozen=True)
class GeneratorOptions:
    """The options of a generator run.

    Parameters
    ----------
    seed:
        Determines the customers and the products, and with ``start`` all events. Not negative.
    start:
        The start of the run, with a time zone. Truncated to the millisecond.
    events_per_second:
        Rows per second of virtual time, bad rows and duplicates included.
    duration_seconds:
        Length of the run in virtual time; None for a run until stopped, which must be paced.
    rows_per_file:
        Rows of each file; the last one may be shorter.
    bad_share, duplicate_share, late_share:
        Expected shares of the rows, 0 to 1, together at most 0.9.
    is_paced:
        Whether a file is delivered when the wall clock reaches the end of its window, or as soon as it is ready.

    Raises
    ------
    SettingsError
        With every fault in one message.
    """

    seed: int
    start: datetime
    events_per_second: float
    duration_seconds: float | None
    rows_per_file: int
    bad_share: float
    duplicate_share: float
    late_share: float
    is_paced: bool = True

    def __post_init__(self) -> None:
        faults = list(self._faults())
        if faults:
            raise SettingsError(
                f"{len(faults)} option{'s' if len(faults) > 1 else ''} of the generator cannot be used:\n  - "
                + "\n  - ".join(faults),
                "Correct them and start again; nothing has been written",
            )

    def _faults(self) -> list[str]:
        shares = {name: getattr(self, name) for name in ("bad_share", "duplicate_share", "late_share")}
        checks = {
            f"seed={self.seed} is negative": self.seed >= 0,
            f"start={self.start.isoformat()} has no time zone; append Z or an offset": self.start.tzinfo is not None,
            f"events_per_second={self.events_per_second} is not above 0 and at most {MAX_EVENTS_PER_SECOND}": (
                0 < self.events_per_second <= MAX_EVENTS_PER_SECOND
            ),
            f"duration_seconds={self.duration_seconds} is not above 0 and finite": (
                self.duration_seconds is None or 0 < self.duration_seconds < math.inf
            ),
            "duration_seconds is missing; a run that is not paced needs an end": (
                self.duration_seconds is not None or self.is_paced
            ),
            f"rows_per_file={self.rows_per_file} is not within 1 and {MAX_ROWS_PER_FILE}": (
                1 <= self.rows_per_file <= MAX_ROWS_PER_FILE
            ),
            **{f"{name}={share} is not within 0 and 1": 0 <= share <= 1 for name, share in shares.items()},
            f"the shares add up to {sum(shares.values()):g}; at most {1 - MIN_ORDINARY_SHARE:g} is possible": (
                sum(shares.values()) <= 1 - MIN_ORDINARY_SHARE
            ),
        }
        return [fault for fault, holds in checks.items() if not holds]

    @property
    def start_ms(self) -> int:
        """The start as Unix milliseconds."""
        return (self.start - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)

    @property
    def total_rows(self) -> int | None:
        """Rows of the whole run, at least one; None when it has no end."""
        if self.duration_seconds is None:
            return None
        return max(1, round(self.events_per_second * self.duration_seconds))

    @property
    def run(self) -> str:
        """The name of the run, which begins the name of each of its files: ``events-<start>-<seed>``."""
        start = self.start.astimezone(UTC)
        return f"events-{start:%Y%m%dT%H%M%S}{start.microsecond // 1000:03d}Z-{self.seed}"
