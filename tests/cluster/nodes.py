"""Run the machines of the cluster: a master with recovery and workers, each at its own loopback address."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import requests

from include.platform.installation.java import java_home, prepare_java
from include.platform.installation.packages import package_directory
from include.platform.instance.environment import spark_environment
from include.platform.programs.catalog import PROGRAMS
from include.platform.services.spark import alive_workers
from include.settings import Settings
from tests.support.sockets import free_ports
from tests.support.waiting import wait_until

_DRIVER = "org.apache.spark.deploy.worker.DriverWrapper"
_EXECUTOR = "org.apache.spark.executor.CoarseGrainedExecutorBackend"
_READY_SECONDS = 180.0


@dataclass
class Node:
    """One worker: its address, its process, and how it is restarted."""

    address: str
    command: list[str]
    environment: Mapping[str, str]
    process: subprocess.Popen[bytes]

    @property
    def executors(self) -> list[psutil.Process]:
        """Return the JVMs of its executors."""
        return _children(self.process.pid, _EXECUTOR)

    def executor_logs(self, settings: Settings) -> str:
        """Return the output of its executors."""
        work = settings.root / "spark" / "work" / self.address
        return "".join(path.read_text(errors="replace") for path in sorted(work.glob("app-*/*/stderr")))

    @property
    def drivers(self) -> list[psutil.Process]:
        """Return the JVMs of its drivers."""
        return _children(self.process.pid, _DRIVER)


@dataclass
class SparkNodes:
    """A cluster for tests; use it as a context manager.

    Parameters
    ----------
    settings:
        With ports for the master.
    workers:
        How many machines run drivers and executors.
    cores, memory:
        Of each worker.
    variables:
        What the workers' environment has that the platform's does not; ``None`` takes a variable away.
    """

    settings: Settings
    workers: int
    cores: int = 2
    memory: str = "3g"
    variables: Mapping[str, str | None] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)

    def __enter__(self) -> SparkNodes:
        prepare_java(self.settings)
        self.start_master()
        try:
            for _ in range(self.workers):
                self.add_worker()
            self.wait_for_workers(self.workers)
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """End all processes; a worker that ends on request ends its drivers and executors as well."""
        processes = [*(node.process for node in self.nodes), self.master]
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def start_master(self) -> None:
        """Start the master, which recovers the state of an earlier one from its files."""
        program = PROGRAMS["spark-master"]
        self.master = self._start("master", program.command(self.settings), program.environment(self.settings))

    def add_worker(self, *, memory: str | None = None, without: Path | None = None) -> Node:
        """Start one more worker, optionally with other memory or with an empty directory in place of one."""
        address = f"127.0.0.{len(self.nodes) + 2}"
        command = self._worker_command(address, memory or self.memory)
        if without is not None:
            command = [
                "unshare",
                "--mount",
                "sh",
                "-c",
                'mount -t tmpfs none "$0" && exec "$@"',
                str(without),
                *command,
            ]
        environment = {
            **spark_environment(self.settings),
            "SPARK_LOCAL_IP": address,
            "SPARK_PUBLIC_DNS": address,
            **self.variables,
        }
        kept = {name: value for name, value in environment.items() if value is not None}
        self.nodes.append(Node(address, command, kept, self._start(address, command, kept)))
        return self.nodes[-1]

    def restart(self, node: Node) -> None:
        """Restart a dead worker, as its supervisor would."""
        node.process.wait(20)
        node.process = self._start(node.address, node.command, node.environment)
        self.wait_for_workers(len(self.nodes))

    def wait_for_workers(self, count: int) -> None:
        """Wait until the master knows that many workers."""
        wait_until(lambda: alive_workers(self.settings) == count, seconds=_READY_SECONDS, what=f"{count} Spark workers")

    def node_of_driver(self) -> Node:
        """Return the worker that runs the driver, once there is one."""
        wait_until(
            lambda: any(node.drivers for node in self.nodes), seconds=_READY_SECONDS, what="a driver on a worker"
        )
        return next(node for node in self.nodes if node.drivers)

    def _worker_command(self, address: str, memory: str) -> list[str]:
        rpc, ui = free_ports(2)
        work = self.settings.root / "spark" / "work" / address
        return [
            *(str(java_home(self.settings) / "bin" / "java"), "-Xmx256m", "-XX:+UseSerialGC"),
            *("--enable-native-access=ALL-UNNAMED", "-Dspark.worker.timeout=20"),
            *("-cp", str(package_directory("pyspark") / "jars" / "*"), "org.apache.spark.deploy.worker.Worker"),
            *("--host", address, "--port", str(rpc), "--webui-port", str(ui)),
            *("--cores", str(self.cores), "--memory", memory, "--work-dir", str(work)),
            f"spark://127.0.0.1:{self.settings.ports['spark-master']}",
        ]

    def _start(self, name: str, command: list[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        with (self.settings.log_dir / f"spark-{name}.log").open("ab") as log:
            return subprocess.Popen(
                command, env={**environment}, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )


def executors_at_work(ui_url: str) -> dict[str, int]:
    """Return the number of running tasks of each executor of an application, by the machine's address."""
    answers: list[dict[str, Any]] = []
    with requests.Session() as session:
        session.trust_env = False
        (application,) = session.get(f"{ui_url}/api/v1/applications", timeout=5).json()
        answers = session.get(f"{ui_url}/api/v1/applications/{application['id']}/executors", timeout=5).json()
    return {one["hostPort"].split(":")[0]: one["activeTasks"] for one in answers if one["id"] != "driver"}


def _children(pid: int, main_class: str) -> list[psutil.Process]:
    found = []
    try:
        # Leave out their children: a process that a JVM starts has the JVM's command line until it is loaded.
        children = psutil.Process(pid).children()
    except psutil.NoSuchProcess:
        return []
    for process in children:
        try:
            if main_class in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found
