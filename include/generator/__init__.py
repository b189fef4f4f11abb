"""A shop's traffic, made up but behaving: CSV event files, and with each file a manifest of the truth about it.

``options`` says what a run is, ``pools`` who shops and what is sold, ``traffic`` how visits go, ``calendar`` which
event belongs to which file, ``render`` how events become CSV lines, ``spoil`` which lines are bad on purpose, ``files``
composes them, and ``run`` delivers at the promised rate.
"""
