"""Chaos: a real instance under a feed with known truth, faults on a seeded schedule, and the question what survived.

``python -m tests.programs.chaos --help``; what it found last is in docs/reliability.md.
"""
