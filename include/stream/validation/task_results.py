"""Pack the validated rows of one task into a single binary value, the task result that Spark carries to the driver.

Spark would otherwise convert rows of twenty-odd columns from Arrow to its own row format and back, which costs several
times as much as reading and validating them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa

from include.stream.validation.validate import VALIDATED_SCHEMA

# Spark copies a task result half a dozen times on its way. LZ4 is fast and makes it less than half as large.
_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")

TASK_RESULT_SCHEMA = pa.schema([pa.field("task", pa.int32()), pa.field("task_result", pa.binary())])


def pack(task: int, validated: Iterable[pa.RecordBatch]) -> pa.RecordBatch:
    """Return one row with TASK_RESULT_SCHEMA: the task's number in its batch, and its rows as an Arrow IPC stream."""
    stream = pa.BufferOutputStream()
    with pa.ipc.new_stream(stream, VALIDATED_SCHEMA, options=_OPTIONS) as writer:
        for batch in validated:
            writer.write_batch(batch)
    content = stream.getvalue()
    ends = pa.array([0, content.size], pa.int32()).buffers()[1]
    task_result = pa.Array.from_buffers(pa.binary(), 1, [None, ends, content])
    return pa.RecordBatch.from_arrays([pa.array([task], pa.int32()), task_result], schema=TASK_RESULT_SCHEMA)


def unpack(task_results: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Yield the rows of each task in the order of the tasks, which may finish in any order.

    The result of a task is yielded as soon as those of all tasks before it have arrived.
    """
    held: dict[int, pa.Buffer] = {}
    following = 0
    for batch in task_results:
        for task, task_result in zip(batch["task"].to_pylist(), batch["task_result"], strict=True):
            held[task] = task_result.as_buffer()
        while following in held:
            yield pa.ipc.open_stream(held.pop(following)).read_all()
            following += 1
    if held:
        raise RuntimeError(f"tasks {sorted(held)} arrived without task {following}; please report this")
