"""What is broken of the cluster, each while a batch is being read."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from tests.cluster.nodes import Node, SparkNodes
from tests.cluster.stream import ClusterStream, deliver
from tests.support.waiting import wait_until

# About 24 MB: some seconds of work for two executors, in several batches.
_BURST_ROWS = 120_000
_ROWS_PER_FILE = 5_000
_STOP_SECONDS = 15.0


@dataclass
class Scene:
    """The cluster and its stream, calm, and the two machines by what they run."""

    nodes: SparkNodes
    stream: ClusterStream
    with_driver: Node
    other: Node

    def strike(self, node: Node, victims: Callable[[], list[psutil.Process]]) -> float:
        """Feed a burst, and kill what ``victims`` finds as soon as an executor of that machine works on it.

        Returns the moment, Unix seconds.
        """
        self.work_on(node)
        found: list[psutil.Process] = []
        wait_until(lambda: found.extend(victims()) or found, seconds=60, what="something to kill")
        since = time.time()
        for process in found:
            # One may end with another that is killed before it.
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        return since

    def work_on(self, node: Node) -> None:
        """Feed a burst, and wait until an executor of that machine reads of it."""
        deliver(self.stream.settings, rows=_BURST_ROWS, rows_per_file=_ROWS_PER_FILE)
        wait_until(
            lambda: self.stream.at_work().get(node.address, 0) > 0,
            seconds=180,
            what=f"a task at work on {node.address}",
        )


@dataclass(frozen=True)
class Fault:
    """One line of the table.

    Parameters
    ----------
    title:
        For people.
    act:
        Breaks it; returns the moment from which the recovery counts, Unix seconds.
    mend:
        What a supervisor does afterwards, once events flow again.
    """

    title: str
    act: Callable[[Scene], float]
    mend: Callable[[Scene], None] = lambda _: None


def _executor(scene: Scene) -> float:
    return scene.strike(scene.other, lambda: scene.other.executors)


def _all_executors(scene: Scene) -> float:
    return scene.strike(scene.other, lambda: [*scene.other.executors, *scene.with_driver.executors])


def _python_worker(scene: Scene) -> float:
    def victims() -> list[psutil.Process]:
        (executor,) = scene.other.executors
        return [one for one in executor.children(recursive=True) if "pyspark.daemon" in one.cmdline()]

    return scene.strike(scene.other, victims)


def _stopped_executor(scene: Scene) -> float:
    scene.work_on(scene.other)
    victims = scene.other.executors
    for process in victims:
        process.send_signal(signal.SIGSTOP)
    try:
        time.sleep(_STOP_SECONDS)
    finally:
        for process in victims:
            process.send_signal(signal.SIGCONT)
    return time.time()


def _other_worker(scene: Scene) -> float:
    return scene.strike(scene.other, lambda: [psutil.Process(scene.other.process.pid)])


def _worker_of_driver(scene: Scene) -> float:
    return scene.strike(scene.other, lambda: [psutil.Process(scene.with_driver.process.pid)])


def _whole_other_machine(scene: Scene) -> float:
    def everything() -> list[psutil.Process]:
        worker = psutil.Process(scene.other.process.pid)
        return [worker, *worker.children(recursive=True)]

    return scene.strike(scene.other, everything)


def _whole_machine_of_driver(scene: Scene) -> float:
    def everything() -> list[psutil.Process]:
        worker = psutil.Process(scene.with_driver.process.pid)
        return [worker, *worker.children(recursive=True)]

    return scene.strike(scene.other, everything)


def _driver(scene: Scene) -> float:
    return scene.strike(scene.other, lambda: scene.with_driver.drivers)


def _master(scene: Scene) -> float:
    return scene.strike(scene.other, lambda: [psutil.Process(scene.nodes.master.pid)])


def _restart_workers(scene: Scene) -> None:
    for node in scene.nodes.nodes:
        if node.process.poll() is not None:
            scene.nodes.restart(node)


def _restart_master(scene: Scene) -> None:
    scene.nodes.master.wait(20)
    scene.nodes.start_master()
    scene.nodes.wait_for_workers(len(scene.nodes.nodes))


FAULTS = (
    Fault("kill -9 of a Python process of an executor", _python_worker),
    Fault("kill -9 of an executor", _executor),
    Fault("kill -9 of all executors", _all_executors),
    Fault(f"SIGSTOP of an executor for {_STOP_SECONDS:.0f} s", _stopped_executor),
    Fault("kill -9 of the worker without the driver", _other_worker, _restart_workers),
    Fault("the machine without the driver is gone: worker, executor, all", _whole_other_machine, _restart_workers),
    Fault("kill -9 of the worker that runs the driver", _worker_of_driver, _restart_workers),
    Fault("the machine with the driver is gone: worker, driver, executor", _whole_machine_of_driver, _restart_workers),
    Fault("kill -9 of the driver's JVM", _driver),
    Fault("kill -9 of the master, which is started again", _master, _restart_master),
)
