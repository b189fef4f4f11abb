"""What Shopstream adds to Airflow: the only package, beside the DAGs, that imports it."""
