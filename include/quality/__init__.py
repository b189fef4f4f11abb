"""Data quality: the suites of ``expectations/``, run by Great Expectations, with results as rows in Postgres.

``suites`` reads and validates the YAML files, ``catalog`` is the only module that knows Great Expectations' classes,
``run`` executes a suite, ``results`` says what came out. Great Expectations takes seconds to import: it is imported by
the functions that need it, never by importing a module of this package.
"""
