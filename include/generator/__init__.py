"""Generate realistic shop traffic as CSV event files, each with a manifest of its exact content.

``options`` defines a run, ``pools`` draws customers and products, ``traffic`` draws visits, ``calendar`` assigns events
to files, ``render`` writes events as CSV lines, ``corruption`` corrupts lines on purpose, ``files`` composes the files,
and ``run`` delivers them at the requested rate.
"""
