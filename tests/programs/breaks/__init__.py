"""Data broken on purpose: ``make break KIND=...`` damages an instance so that people see it being caught.

``kinds`` says what is broken and which check finds it, ``feeds`` makes the events, ``instance`` brings them into a
running instance and takes them out again.
"""
