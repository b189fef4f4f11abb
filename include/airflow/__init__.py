"""Extend Airflow with operators, sensors, callbacks and the cockpit.

Apart from the DAGs, this is the only package that imports Airflow.
"""
