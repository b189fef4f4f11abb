"""Prepare the analytics database before any process uses it; every start runs this and adds only what is missing."""

from __future__ import annotations

from include.alerts.planned import end_downtime
from include.db.migrate import migrate
from include.db.partitions import maintain
from include.db.views import apply_views
from include.settings import Settings
from include.stream.supervision.status import set_desired_state


def prepare_schema(settings: Settings) -> str:
    """Bring schema, views and partitions of the analytics database up to date, and set the desired state to run.

    This also ends a planned downtime; the platform then has some minutes to come up.

    Returns
    -------
    str
        A readable summary of what was created; empty when nothing was missing.
    """
    owner = settings.dsn("owner")
    migrations = migrate(owner)
    views = apply_views(owner)
    made = maintain(owner, ahead_days=settings.partitions_ahead_days, retention_days=settings.retention_days).made
    set_desired_state(owner, "run")
    end_downtime(owner)
    if not (migrations or views or made):
        return ""
    return f"{len(migrations)} migrations, {len(views)} views, {made} partitions created"
