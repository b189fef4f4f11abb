"""Alerting: Airflow's failures become alerts, and alerts are sent through the channels that Connections name."""
