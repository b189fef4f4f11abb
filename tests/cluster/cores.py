"""Measure how many cores each part of a run keeps busy, apart from other work of the machine."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import psutil

_PAUSE_SECONDS = 0.25


class Cores(NamedTuple):
    """The mean number of busy cores, by part of the run and for other work of the machine."""

    driver: float
    executors: float
    postgres: float
    other: float


class Sample(NamedTuple):
    """Processor seconds spent until a moment, by part of the run and for the whole machine."""

    at: float
    driver: float
    executors: float
    postgres: float
    machine: float


@dataclass
class CoresWatch:
    """Samples the processor time of all descendants of this process; use it as a context manager.

    While they live, for a process that ends takes its figure along.
    """

    _samples: list[Sample] = field(default_factory=list)
    _latest: dict[tuple[str, int, float], float] = field(default_factory=dict)
    _is_over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> CoresWatch:
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def busy(self, since: float, until: float) -> Cores:
        """Return the cores that were busy between two moments, Unix seconds."""
        within = [sample for sample in self._samples if since <= sample.at <= until]
        spent = Sample(*(end - begin for begin, end in zip(within[0], within[-1], strict=True)))
        run = (spent.driver, spent.executors, spent.postgres)
        driver, executors, postgres = (part / spent.at for part in run)
        return Cores(driver, executors, postgres, other=max(0.0, (spent.machine - sum(run)) / spent.at))

    def _watch(self) -> None:
        while not self._is_over.wait(_PAUSE_SECONDS):
            self._sample()

    def _sample(self) -> None:
        for child in psutil.Process().children():
            # Skip processes that have ended since they were listed.
            with contextlib.suppress(psutil.Error):
                part = _part(child)
                for process in (child, *child.children(recursive=True)):
                    with contextlib.suppress(psutil.Error):
                        times = process.cpu_times()
                        self._latest[part, process.pid, process.create_time()] = times.user + times.system
        spent = dict.fromkeys(("driver", "executors", "postgres"), 0.0)
        for (part, *_), seconds in self._latest.items():
            spent[part] += seconds
        machine = psutil.cpu_times()
        busy = sum(machine) - machine.idle - machine.iowait - machine.guest - machine.guest_nice
        self._samples.append(Sample(time.time(), **spent, machine=busy))


def _part(child: psutil.Process) -> str:
    """Return the part that a process belongs to; executors are children of their worker."""
    command = child.cmdline()
    if command and Path(command[0]).name == "postgres":
        return "postgres"
    return "executors" if any(part.startswith("org.apache.spark.deploy.worker") for part in command) else "driver"
