"""Commands: the implementation of ``make up``, ``down``, ``status``, ``load`` and the rest. May import ``programs``."""
