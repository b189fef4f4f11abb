"""Data quality: the suites of ``expectations/``, run by Great Expectations, with results as rows in Postgres.

``suites`` loads the YAML files, which ``reading`` validates into what ``model`` defines. ``run`` makes one run of a
suite; ``engine`` and ``catalog`` are the only modules that know Great Expectations. ``results`` says what came out,
``store`` writes it down, ``alerting`` tells people, ``pages`` shows it. ``publication`` checks views before anybody
reads them. Great Expectations takes seconds to import: it is imported by the functions that need it, never by importing
a module of this package.
"""
