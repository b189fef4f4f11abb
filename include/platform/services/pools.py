"""Define the Airflow pools of the DAGs.

Work that may take hours has few slots, which leaves slots free for the DAGs that monitor. ``bootstrap`` creates the
pools. An existing pool keeps its size, since an operator may have changed it.
"""

from __future__ import annotations

FEED = "feed"
HEAVY = "heavy"
DECISIONS = "decisions"

# Slots and description of each pool, by name.
POOLS = {
    FEED: (2, "Runs of generate_events: the scheduled run, and one triggered by hand beside it."),
    HEAVY: (1, "Work of minutes to hours that can wait: audits and sweeps."),
    DECISIONS: (1, "Work that users start and approve: retractions, and overrides that publish held-back rows."),
}
