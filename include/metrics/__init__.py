"""Serve metrics of stream, database, views, quality, alerts and objectives in Prometheus' format.

The endpoint is a small program, ``python -m include.metrics``. It imports neither Airflow nor Spark, keeps one
connection to PostgreSQL, and also answers while PostgreSQL is unavailable.
"""
