"""Watching: finds and reports failures from outside Airflow, which cannot report its own. May import ``programs``."""
