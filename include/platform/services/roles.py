"""Define permissions of Airflow's roles in addition to Airflow's own."""

from __future__ import annotations

# Without this permission Airflow lists no plugins to its UI, and a viewer's navigation would lack the cockpit.
_SEES_PLUGINS = [("can_read", "Plugins")]

ROLE_PERMISSIONS = [{"role": role, "perms": _SEES_PLUGINS} for role in ("Viewer", "User")]
