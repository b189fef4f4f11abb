"""How fast, measured on the whole platform, each figure beside a reference of the same run: ``make bench``."""
