"""Shopstream's library: everything that the DAGs and the jobs share.

The direction of imports is ``dags -> include <- jobs``. Nothing here imports pyspark, and only ``include.airflow``
imports Airflow; ``tests/unit/test_architecture.py`` enforces both rules.
"""
