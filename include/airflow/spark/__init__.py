"""Spark jobs from Airflow: the submit operator, the supported clusters, and links to the driver's pages and logs."""
