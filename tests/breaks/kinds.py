"""The ways to break the data, each with the check that is to find it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """One way: what goes wrong, and the suite and check that find it within one run.

    ``is_blocking`` says whether publication of the views is held back.
    """

    name: str
    what: str
    suite: str
    check: str
    is_blocking: bool


STALE_VIEW = "mart_conversion_funnel"

KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            "late-feed",
            "the feed delivers what happened six hours ago",
            "events",
            "events_are_mostly_on_time",
            is_blocking=False,
        ),
        Kind("doubled-price", "every price is twice what it was", "events", "price_level_is_usual", is_blocking=True),
        Kind(
            "missing-category",
            "a category is missing from the feed",
            "events",
            "no_category_is_missing",
            is_blocking=True,
        ),
        Kind(
            "stale-view",
            f"shop.{STALE_VIEW} cannot be refreshed, and was not for two hours",
            STALE_VIEW,
            "view_is_fresh",
            is_blocking=False,
        ),
        Kind(
            "volume-drop",
            "at this hour of the days before more than twice as many events came",
            "events",
            "volume_is_usual",
            is_blocking=False,
        ),
    )
}
