"""Airflow's plugins folder is this one (``CORE__PLUGINS_FOLDER``): it takes each plugin class that a file here has."""

from include.airflow.cockpit.plugin import ShopstreamPlugin

__all__ = ["ShopstreamPlugin"]
