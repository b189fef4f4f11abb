"""Inject faults on a seeded schedule into a real instance with a known feed, and check what it stored.

``python -m tests.programs.chaos --help``; docs/reliability.md has the last results.
"""
