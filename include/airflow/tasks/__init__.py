"""The bodies of the DAGs' tasks: plain functions that fetch connections and settings, call the work, log its result.

One module a concern; a DAG imports the functions of its own.
"""
