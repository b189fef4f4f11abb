"""Watch the entries of the landing folder that are not taken in: other suffixes, unfinished uploads, subfolders."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

IGNORED_AFTER_SECONDS = 600.0
# Each check costs a stat per entry, and nobody needs the result within seconds.
LOOK_EVERY_SECONDS = 10.0
_EXAMPLES = 5


@dataclass(frozen=True)
class Ignored:
    """Entries that are not taken in and have not changed for a while.

    ``since`` is the last change of the oldest one; ``examples`` are the names of the oldest ones.
    """

    files: int = 0
    since: datetime | None = None
    examples: tuple[str, ...] = ()


class IgnoredEntries:
    """Watch the entries that are not deliveries.

    An entry counts as changed when it differs between two checks, timed by the clock of this process. A file that is
    being uploaded under a temporary name keeps changing, and the clock of a file server may be wrong.

    Parameters
    ----------
    after_seconds:
        An entry is reported once it has not changed for this long.
    look_every_seconds:
        The shortest time between two checks.
    """

    def __init__(self, after_seconds: float, look_every_seconds: float = LOOK_EVERY_SECONDS) -> None:
        self._after_seconds = after_seconds
        self._look_every_seconds = min(look_every_seconds, after_seconds / 2)
        self._looked_at = float("-inf")
        self._seen: dict[str, tuple[tuple[int, int, int], float]] = {}
        self.found = Ignored()

    def is_due(self) -> bool:
        """Return whether it is time for another check."""
        return time.monotonic() - self._looked_at >= self._look_every_seconds

    def look(self, entries: Iterable[os.DirEntry[str]]) -> None:
        """Record the current state of all entries that are not deliveries."""
        now = self._looked_at = time.monotonic()
        seen: dict[str, tuple[tuple[int, int, int], float]] = {}
        quiet: list[tuple[int, str]] = []
        for entry in entries:
            try:
                info = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            state = (info.st_ino, info.st_size, info.st_mtime_ns)
            known = self._seen.get(entry.name)
            since = known[1] if known and known[0] == state else now
            seen[entry.name] = (state, since)
            if now - since >= self._after_seconds:
                quiet.append((info.st_ctime_ns, entry.name))
        self._seen = seen
        oldest = sorted(quiet)[:_EXAMPLES]
        self.found = Ignored(
            len(quiet),
            datetime.fromtimestamp(oldest[0][0] / 1e9, UTC) if oldest else None,
            tuple(name for _, name in oldest),
        )
