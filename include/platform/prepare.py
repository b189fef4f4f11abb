"""What must be in the databases before any process uses them; run again at every start, it changes what is missing."""

from __future__ import annotations

from include.db.migrate import migrate
from include.db.partitions import maintain
from include.db.views import apply_views
from include.settings import Settings
from include.stream.status import set_wish


def prepare_schema(settings: Settings) -> str:
    """Bring schema, views and partitions of the analytics database up to date, and wish the stream to run.

    Returns
    -------
    str
        What was made now, for a person; empty when nothing was missing.
    """
    owner = settings.dsn("owner")
    migrations = migrate(owner)
    views = apply_views(owner)
    made = maintain(owner, ahead_days=settings.partitions_ahead_days, retention_days=settings.retention_days).made
    set_wish(owner, "run")
    if not (migrations or views or made):
        return ""
    return f"{len(migrations)} migrations, {len(views)} views, {made} partitions made"
