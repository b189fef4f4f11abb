"""Define the faults of the cluster, each injected while a batch is being read."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psutil

from tests.cluster.nodes import Node, SparkNodes
from tests.cluster.stream import ClusterStream, deliver
from tests.support.waiting import wait_until

# About 24 MB, some seconds of work for two executors in several batches.
_BURST_ROWS = 120_000
_ROWS_PER_FILE = 5_000
_STOP_SECONDS = 15.0
_BURSTS_SECONDS = 180.0
# Time for the driver to learn of a task that an executor has already reported as ended.
_TOLD_SECONDS = 0.5

Victims = Callable[[], list[psutil.Process]]


@dataclass
class Scene:
    """The calm cluster and its stream, and the two machines by what they run."""

    nodes: SparkNodes
    stream: ClusterStream
    with_driver: Node
    other: Node

    def strike(self, node: Node, victims: Victims) -> float:
        """Kill what ``victims`` finds while an executor of that machine is in the middle of a task.

        Returns the moment, Unix seconds.
        """
        with self.held_at_work(node, victims) as found:
            since = time.time()
            for process in found:
                # A victim may end together with one that is killed before it.
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
        return since

    @contextlib.contextmanager
    def held_at_work(self, node: Node, victims: Victims) -> Iterator[list[psutil.Process]]:
        """Feed bursts until the executors of that machine are stopped within a task, and there are victims.

        A task takes a tenth of a second: of one that is only seen and then struck, the end would often come first.
        Gives the victims; what lives afterwards goes on.
        """
        deadline = time.monotonic() + _BURSTS_SECONDS
        while True:
            wait_until(lambda: self._is_fed_and_works(node), seconds=_BURSTS_SECONDS, what=f"a task on {node.address}")
            held = _stopped(node.executors)
            try:
                if self._stays_at_work(node) and (found := victims()):
                    yield found
                    return
            finally:
                _let_go(held)
            assert time.monotonic() < deadline, f"no task on {node.address} could be stopped before its end"

    def _is_fed_and_works(self, node: Node) -> bool:
        if self.stream.is_idle():
            deliver(self.stream.settings, rows=_BURST_ROWS, rows_per_file=_ROWS_PER_FILE)
        return self._is_at_work(node)

    def _is_at_work(self, node: Node) -> bool:
        return self.stream.at_work().get(node.address, 0) > 0

    def _stays_at_work(self, node: Node) -> bool:
        """Return whether a task had not ended when its executor was stopped."""
        until = time.monotonic() + _TOLD_SECONDS
        while time.monotonic() < until:
            if not self._is_at_work(node):
                return False
        return True


def _stopped(executors: list[psutil.Process]) -> list[psutil.Process]:
    """Stop executors and then their Python processes, and return all of them."""
    held: list[psutil.Process] = []
    for executor in executors:
        with contextlib.suppress(psutil.NoSuchProcess):
            executor.suspend()
            held += [executor, *executor.children(recursive=True)]
    for process in held:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.suspend()
    return held


def _let_go(held: list[psutil.Process]) -> None:
    for process in held:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.resume()


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
    with scene.held_at_work(scene.other, lambda: scene.other.executors):
        time.sleep(_STOP_SECONDS)
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
