"""The platform on one machine, and the commands behind the Makefile.

``installation`` makes the virtual environment, ``instance`` is the state directory with its environment and secrets,
``services`` knows PostgreSQL, Spark and Airflow, ``programs`` runs their processes, ``watching`` looks after them from
outside Airflow, and ``commands`` implements ``make up``, ``make down`` and the rest.

A room imports only from the rooms before it; ``commands`` and ``watching`` do not import each other.
"""
