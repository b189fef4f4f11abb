"""Sample the memory of a process and all of its descendants while it runs."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import psutil

_PAUSE_SECONDS = 0.5
MIB = 1024 * 1024


@dataclass
class MemoryWatch:
    """Keeps the highest proportional set size (PSS), in bytes: pages that processes share are counted once.

    ``jvm`` and ``python`` are the peaks of the Java and of all other processes, ``together`` that of their sum.
    """

    pid: int
    jvm: int = 0
    python: int = 0
    together: int = 0
    samples: int = 0
    _is_over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> MemoryWatch:
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._is_over.wait(_PAUSE_SECONDS):
            self._sample()

    def _sample(self) -> None:
        sums = {True: 0, False: 0}
        try:
            top = psutil.Process(self.pid)
            processes = [top, *top.children(recursive=True)]
        except psutil.NoSuchProcess:
            return
        for process in processes:
            try:
                sums[process.name() == "java"] += process.memory_full_info().pss
            except psutil.Error:
                # The process has ended since it was listed.
                continue
        self.jvm = max(self.jvm, sums[True])
        self.python = max(self.python, sums[False])
        self.together = max(self.together, sum(sums.values()))
        self.samples += 1
