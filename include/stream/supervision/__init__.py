"""Supervision: whether the stream works, who may write, and what operators want it to do.

``epoch`` fences older drivers, ``heartbeat`` shows that the driver lives, ``status`` reads its state and sets the
desired state, ``diagnosis``, ``disk`` and ``refusals`` report what is wrong, and ``yielding`` lets other work wait for
the stream. Imports no other room of the stream.
"""
