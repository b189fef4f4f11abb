"""Contain the bodies of the DAGs' tasks: plain functions that read connections and settings, do the work and log it.

There is one module per concern; a DAG imports the functions that it needs.
"""
