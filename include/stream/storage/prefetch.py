"""Prefetch an iterator: run it in its own thread, ahead of its consumer."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

Item = TypeVar("Item")


class _End(Generic[Item]):
    """Mark the end of the items, with the error that ended the iterator, if any."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


@contextmanager
def prefetch(items: Iterator[Item], *, by: int = 1) -> Iterator[Iterator[Item]]:
    """Yield an iterator that prefetches the next ``by`` items while its consumer works on the last one.

    An error of the iterator is raised to the consumer after the items before it. When the consumer leaves early, the
    iterator finishes the item it is working on, is abandoned, and is closed if it is a generator.
    """
    # The semaphore bounds the queue, so that putting the end marker never blocks.
    made: queue.Queue[Item | _End[Item]] = queue.Queue()
    room = threading.Semaphore(by)
    is_abandoned = threading.Event()

    def work() -> None:
        error: BaseException | None = None
        try:
            while True:
                room.acquire()
                if is_abandoned.is_set():
                    break
                made.put(next(items))
        except StopIteration:
            pass
        except BaseException as raised:
            error = raised
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()
            made.put(_End(error))

    def taken() -> Iterator[Item]:
        while True:
            item = made.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            room.release()
            yield item

    thread = threading.Thread(target=work, name="prefetch", daemon=True)
    thread.start()
    try:
        yield taken()
    finally:
        is_abandoned.set()
        room.release()
        thread.join()
