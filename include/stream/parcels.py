"""Parcels: the judged rows of one task, as they travel through Spark to the driver.

Spark carries each as one binary value. It would turn rows of twenty-odd columns from Arrow's columns into rows of its
own and back, which costs several times what reading and judging them does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa

from include.stream.judge import JUDGED_SCHEMA

# Spark copies a parcel half a dozen times on its way: compressed, which is quick, it is less than half as large.
_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")

PARCEL_SCHEMA = pa.schema([pa.field("task", pa.int32()), pa.field("parcel", pa.binary())])


def pack(task: int, judged: Iterable[pa.RecordBatch]) -> pa.RecordBatch:
    """One row with PARCEL_SCHEMA: the number of the task within its batch, and its rows as an Arrow IPC stream."""
    stream = pa.BufferOutputStream()
    with pa.ipc.new_stream(stream, JUDGED_SCHEMA, options=_OPTIONS) as writer:
        for batch in judged:
            writer.write_batch(batch)
    content = stream.getvalue()
    ends = pa.array([0, content.size], pa.int32()).buffers()[1]
    parcel = pa.Array.from_buffers(pa.binary(), 1, [None, ends, content])
    return pa.RecordBatch.from_arrays([pa.array([task], pa.int32()), parcel], schema=PARCEL_SCHEMA)


def unpack(parcels: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The judged rows in the order of the tasks, which end in any order; each as soon as those before it are there."""
    held: dict[int, pa.Buffer] = {}
    following = 0
    for batch in parcels:
        for task, parcel in zip(batch["task"].to_pylist(), batch["parcel"], strict=True):
            held[task] = parcel.as_buffer()
        while following in held:
            yield pa.ipc.open_stream(held.pop(following)).read_all()
            following += 1
    if held:
        raise RuntimeError(f"tasks {sorted(held)} came without task {following}; please report this")
