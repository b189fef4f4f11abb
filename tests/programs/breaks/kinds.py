"""List the ways to break the data, each with the check that must find it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """One way to break the data, and the suite and check that find it within one run.

    ``is_blocking`` says whether publication of the views is held back; ``fails`` whether the run of ``refresh_views``
    fails, which it does when a view is held back or could not be refreshed. ``held`` says which views keep their
    earlier rows, ``alert`` which alert is sent, and ``ends`` when that alert is resolved.
    """

    name: str
    what: str
    suite: str
    check: str
    is_blocking: bool
    ends: str
    fails: bool = False
    held: str = "none"
    alert: str = "a warning on every channel"

    def __post_init__(self) -> None:
        assert self.fails or not self.is_blocking

    @property
    def row(self) -> str:
        """Return its row in the table of ``docs/quality.md``."""
        found, run = f"`{self.suite}`: `{self.check}`", "fails" if self.fails else "succeeds"
        return f"| {' | '.join((f'`{self.name}`', self.what, found, self.held, run, self.alert, self.ends))} |"


MID_REFRESH, MENDED_DRIFT, RENAMED_SUITE = "mid-refresh", "mended-drift", "renamed-suite"
RETRACTED_FILE = "retracted-file"
STALE_VIEW = "mart_conversion_funnel"

_CRITICAL = "a critical alert on every channel"
_RETRACTED = "when the rows are retracted or corrected"


def _blocking(
    name: str, what: str, check: str = "price_level_is_usual", held: str = "all views", ends: str = _RETRACTED
) -> Kind:
    return Kind(name, what, "events", check, is_blocking=True, fails=True, held=held, alert=_CRITICAL, ends=ends)


KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            "late-feed",
            "the feed delivers events of six hours ago",
            "events",
            "events_are_mostly_on_time",
            is_blocking=False,
            ends="when the next events are on time",
        ),
        _blocking("doubled-price", "every price is doubled"),
        _blocking("missing-category", "a category is missing from the feed", "no_category_is_missing"),
        Kind(
            "stale-view",
            f"shop.{STALE_VIEW} cannot be refreshed, and is two hours old",
            STALE_VIEW,
            "view_is_fresh",
            is_blocking=False,
            fails=True,
            held=f"`{STALE_VIEW}`, which cannot be refreshed",
            alert=f"{_CRITICAL} about the failed task; the warning is its consequence",
            ends="at its next refresh",
        ),
        Kind(
            "volume-drop",
            "on earlier days, more than twice as many events came at this hour",
            "events",
            "volume_is_usual",
            is_blocking=False,
            ends="when the volume is usual again",
        ),
        _blocking(
            MID_REFRESH,
            "every price is doubled, from the middle of a refresh on",
            held="all views; the current refresh may publish, without the bad rows",
        ),
        _blocking(
            "quiet-night",
            "every price is doubled, and then nothing comes for hours (wait as long as you like)",
        ),
        _blocking(
            MENDED_DRIFT,
            "every price is doubled, and the feed is repaired before the sweep (trigger sweep_quality)",
        ),
        _blocking(
            RENAMED_SUITE,
            "expectations/events.yml is renamed to events.yaml, which is not read",
            "suite_runs",
            ends="when the file has its old name",
        ),
        _blocking(
            RETRACTED_FILE,
            "every price of one file is doubled, and then the file is retracted",
            ends="at the first refresh after `make retract FILE=…`, even if nothing else has come",
        ),
    )
}
