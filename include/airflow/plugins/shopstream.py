"""Expose the plugin to Airflow, which loads plugin classes from this folder (``CORE__PLUGINS_FOLDER``)."""

from include.airflow.cockpit.plugin import ShopstreamPlugin

__all__ = ["ShopstreamPlugin"]
