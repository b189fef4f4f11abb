"""Runs an iterator ahead of whoever consumes it, in a thread of its own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

Item = TypeVar("Item")


class _End(Generic[Item]):
    """The last thing that the thread says: how the iterator ended."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


@contextmanager
def ahead(items: Iterator[Item], *, by: int = 1) -> Iterator[Iterator[Item]]:
    """The items of an iterator that works on the next ``by`` of them while the consumer works on the last one.

    An error of the iterator is raised in its place. When the consumer leaves early, the iterator is abandoned after the
    item that it is working on, and closed if it is a generator.
    """
    # The semaphore bounds it, so that the end never waits for a place.
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

    thread = threading.Thread(target=work, name="ahead", daemon=True)
    thread.start()
    try:
        yield taken()
    finally:
        is_abandoned.set()
        room.release()
        thread.join()
