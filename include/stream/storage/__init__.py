"""Storage: one transaction stores one batch. Read the modules in this order.

1. ``sink`` opens the transaction and checks that its writer epoch is the newest.
2. ``prepare`` splits each task result into accepted, duplicate and rejected rows without writing. It uses
   ``slice_rows`` (the rows of a task result), ``slices`` (which slice of a file is next), ``duplicates`` and
   ``retired_days``. ``prefetch`` prepares the next result while the current one is stored.
3. ``load`` writes events, rejects, duplicates (``conflicts``), minute sums and balances, through ``copy`` and
   ``binary_copy``.
4. ``sink`` commits, then asks ``intake`` to put finished files away.

May import ``intake``, ``reading``, ``validation`` and ``supervision``.
"""
