"""Run the suites of ``expectations/`` with Great Expectations and store the results in Postgres.

``suites`` loads the YAML files; ``reading`` validates them into the classes of ``model``. ``run`` runs one suite.
``engine`` and ``catalog`` are the only modules that use Great Expectations. ``results`` defines the outcome of a run,
``store`` writes it to Postgres, and ``alerting`` raises and resolves alerts. The cockpit shows the results.
``publication`` checks views before they are published. Great Expectations takes seconds to import, so the functions
that need it import it; importing a module of this package never does.
"""
