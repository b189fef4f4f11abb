"""Programs: what each process runs, how it starts, whether it works, and how it ends. May import ``services``."""
