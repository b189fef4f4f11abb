"""Kill a process of the instance, or stop it for a while."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator

import psutil

from tests.programs.chaos.faults.base import PROMISED_SECONDS, Fault, Scene
from tests.programs.chaos.instance import kill, with_descendants
from tests.programs.chaos.waiting import wait_for

Victims = Callable[[Scene], list[psutil.Process]]

_STOP_SECONDS = (5.0, 30.0)
# Airflow's threshold, and the watchdog's timeout and pauses.
_REPLACED_SECONDS = 150.0


def killing(victims: Victims) -> Callable[[Scene], float]:
    """Kill -9 what ``victims`` returns; the recovery counts from then on."""

    def act(scene: Scene) -> float:
        found = wait_for(lambda: victims(scene), seconds=60, what="a process to kill")
        since = time.time()
        scene.note(f"kill -9 {', '.join(map(str, kill(found)))}")
        return since

    return act


def stopping(victims: Victims) -> Callable[[Scene], float]:
    """Send SIGSTOP, and SIGCONT after a while; the recovery counts from SIGCONT."""

    def act(scene: Scene) -> float:
        found = wait_for(lambda: victims(scene), seconds=60, what="a process to stop")
        seconds = scene.random.uniform(*_STOP_SECONDS)
        stopped = kill(found, signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            kill(found, signal.SIGCONT)
        scene.note(f"{len(stopped)} processes stopped for {seconds:.1f} s")
        return time.time()

    return act


def _hanging(victims: Victims) -> Callable[[Scene], float]:
    """Send SIGSTOP; only the instance itself ends it, and the recovery counts from then on."""

    def act(scene: Scene) -> float:
        found = wait_for(lambda: victims(scene), seconds=60, what="a process to stop")
        since = time.time()
        kill(found, signal.SIGSTOP)
        replaced = "another process in its place"
        wait_for(lambda: not any(one.is_running() for one in found), seconds=_REPLACED_SECONDS, what=replaced)
        scene.note(f"replaced after {time.time() - since:.0f} s")
        return since

    return act


def _program(name: str) -> Victims:
    return lambda scene: [scene.instance.program(name)]


def _tree(name: str) -> Victims:
    return lambda scene: with_descendants([scene.instance.program(name)])


def _one_python_worker(scene: Scene) -> list[psutil.Process]:
    workers = scene.instance.python_workers()
    return [scene.random.choice(sorted(workers, key=lambda one: one.pid))] if workers else []


def _postgres(scene: Scene) -> list[psutil.Process]:
    return with_descendants([scene.instance.postmaster()])


def process_faults() -> Iterator[Fault]:
    """Return the faults of the stream and of Spark, then of Airflow."""
    promised = PROMISED_SECONDS
    yield Fault(
        "kill_driver_jvm",
        "kill -9 of the driver's JVM (and executor)",
        killing(lambda scene: scene.instance.driver()[:1]),
        promised_seconds=promised,
    )
    yield Fault(
        "kill_driver_python",
        "kill -9 of the driver's Python process",
        killing(lambda scene: scene.instance.driver_pythons()),
        promised_seconds=promised,
    )
    yield Fault(
        "kill_python_worker", "kill -9 of a Spark Python worker", killing(_one_python_worker), promised_seconds=promised
    )
    yield Fault("kill_spark_worker", "kill -9 of the Spark worker", killing(_program("spark-worker")))
    yield Fault("kill_spark_master", "kill -9 of the Spark master", killing(_program("spark-master")))
    yield Fault(
        "stop_driver",
        "SIGSTOP of the driver for 5 to 30 s",
        stopping(lambda scene: scene.instance.driver()),
        weight=0.5,
    )
    yield Fault("stop_postgres", "SIGSTOP of all of Postgres for 5 to 30 s", stopping(_postgres), weight=0.5)
    for name, title in (
        ("scheduler", "Airflow's scheduler, the main process"),
        ("api-server", "Airflow's API server"),
        ("triggerer", "Airflow's triggerer"),
        ("dag-processor", "Airflow's DAG processor"),
    ):
        yield Fault(
            f"kill_{name.replace('-', '_')}",
            f"kill -9 of {title}",
            killing(_program(name)),
            keeps_driver=True,
            with_airflow=True,
        )
    yield Fault(
        "hang_scheduler",
        "SIGSTOP of Airflow's scheduler, the main process, for good",
        _hanging(_program("scheduler")),
        keeps_driver=True,
        with_airflow=True,
        weight=0.3,
    )
    yield Fault(
        "kill_scheduler_tree",
        "kill -9 of Airflow's scheduler with all its processes",
        killing(_tree("scheduler")),
        keeps_driver=True,
        with_airflow=True,
    )
    yield Fault(
        "kill_task",
        "kill -9 of the processes of Airflow's running tasks",
        killing(lambda scene: scene.instance.tasks()),
        keeps_driver=True,
        with_airflow=True,
    )
