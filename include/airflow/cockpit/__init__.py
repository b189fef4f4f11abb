"""The cockpit: pages and a REST API inside the Airflow UI."""
