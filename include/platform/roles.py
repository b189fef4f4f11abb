"""What Airflow's roles may do beyond what Airflow gives them."""

from __future__ import annotations

# Without this right Airflow tells its pages of no plugin: a viewer's navigation would lack the cockpit.
_SEES_PLUGINS = [("can_read", "Plugins")]

ROLE_PERMISSIONS = [{"role": role, "perms": _SEES_PLUGINS} for role in ("Viewer", "User")]
