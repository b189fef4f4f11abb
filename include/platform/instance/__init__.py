"""An instance: its state directory, the environment of its processes, and its secrets. May import ``installation``."""
