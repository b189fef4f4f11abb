"""The platform on one machine: its processes, their environment, and the commands behind the Makefile."""
