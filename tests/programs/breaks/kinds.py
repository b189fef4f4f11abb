"""List the ways to break the data, each with the check that must find it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """One way: what goes wrong, and the suite and check that find it within one run.

    ``is_blocking`` says whether publication of the views is held back; ``is_red`` whether the run of ``refresh_views``
    fails, which it does when a view is held back or could not be refreshed. ``held`` says which views keep the rows of
    before, ``told`` which alert people get, ``ends`` what makes it end.
    """

    name: str
    what: str
    suite: str
    check: str
    is_blocking: bool
    ends: str
    is_red: bool = False
    held: str = "none"
    told: str = "every channel: a warning"

    def __post_init__(self) -> None:
        assert self.is_red or not self.is_blocking

    @property
    def row(self) -> str:
        """Return its row in the table of ``docs/quality.md``."""
        found, run = f"`{self.suite}`: `{self.check}`", "red" if self.is_red else "green"
        return f"| {' | '.join((f'`{self.name}`', self.what, found, self.held, run, self.told, self.ends))} |"


MID_REFRESH, MENDED_DRIFT, RENAMED_SUITE = "mid-refresh", "mended-drift", "renamed-suite"
RETRACTED_FILE = "retracted-file"
STALE_VIEW = "mart_conversion_funnel"

_CRITICAL = "every channel: critical"
_RETRACTED = "when the rows are retracted or mended"


def _blocking(
    name: str, what: str, check: str = "price_level_is_usual", held: str = "all views", ends: str = _RETRACTED
) -> Kind:
    return Kind(name, what, "events", check, is_blocking=True, is_red=True, held=held, told=_CRITICAL, ends=ends)


KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            "late-feed",
            "the feed delivers what happened six hours ago",
            "events",
            "events_are_mostly_on_time",
            is_blocking=False,
            ends="with the next events that are on time",
        ),
        _blocking("doubled-price", "every price is twice what it was"),
        _blocking("missing-category", "a category is missing from the feed", "no_category_is_missing"),
        Kind(
            "stale-view",
            f"shop.{STALE_VIEW} cannot be refreshed, and was not for two hours",
            STALE_VIEW,
            "view_is_fresh",
            is_blocking=False,
            is_red=True,
            held=f"`{STALE_VIEW}`, which cannot be refreshed",
            told=f"{_CRITICAL}, that the task failed; the warning follows from it",
            ends="with its next refresh",
        ),
        Kind(
            "volume-drop",
            "at this hour of the days before more than twice as many events came",
            "events",
            "volume_is_usual",
            is_blocking=False,
            ends="when the volume is usual again",
        ),
        _blocking(
            MID_REFRESH,
            "every price is twice what it was, from the middle of a refresh on",
            held="all views; the refresh under way may publish, without the bad rows",
        ),
        _blocking(
            "quiet-night",
            "every price is twice what it was, and then nothing comes for hours (leave it as long as you like)",
        ),
        _blocking(
            MENDED_DRIFT,
            "every price is twice what it was; then the feed is mended, before anybody sweeps (trigger sweep_quality)",
        ),
        _blocking(
            RENAMED_SUITE,
            "expectations/events.yml is called events.yaml, so nobody would read it",
            "suite_runs",
            ends="when the file has its name again",
        ),
        _blocking(
            RETRACTED_FILE,
            "every price of one file is twice what it was, and then the file is retracted",
            ends="with the first refresh after `make retract FILE=…`, even when nothing else has come",
        ),
    )
}
