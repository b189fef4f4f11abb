"""The metrics endpoint: stream, database, views, quality, alerts and objectives in Prometheus' format.

A small program of the platform: ``python -m include.metrics``. It imports neither Airflow nor Spark, keeps one
connection to PostgreSQL, and answers also when there is none.
"""
