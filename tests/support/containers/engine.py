"""Start, query, watch and stop containers."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.support.compose import read_compose
from tests.support.containers.layer import Layer
from tests.support.containers.networks import Networks

# On Debian: iproute2, util-linux, prometheus, redis-server, postgresql-client.
_TOOLS = ("ip", "unshare", "nsenter", "setpriv", "prometheus", "redis-server", "pg_isready", "wget")


@dataclass
class Container:
    """One running service.

    Attributes
    ----------
    name:
        Of this container, which is its host name, for example ``spark-worker-2``.
    service:
        In the compose file.
    addresses:
        By network.
    log:
        What it has written.
    process:
        What has made the namespaces; it ends with the first process in them.
    """

    name: str
    service: str
    addresses: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes]

    @property
    def first(self) -> psutil.Process | None:
        """Return process 1 of the container as this machine sees it; None while it is being created or has ended."""
        try:
            (child,) = psutil.Process(self.process.pid).children()
            is_made = str(Path(f"/proc/{child.pid}/root").readlink()) != "/"
        except (psutil.Error, OSError, ValueError):
            return None
        return child if is_made else None

    @property
    def address(self) -> str:
        """Return its address on its first network."""
        return next(iter(self.addresses.values()))

    def kill(self) -> None:
        """End all of it at once: with the first process the kernel ends every other process of the namespace."""
        with contextlib.suppress(psutil.Error):
            for child in psutil.Process(self.process.pid).children():
                child.kill()
        self.process.kill()
        self.process.wait()

    def tell(self, lines: int = 40) -> str:
        """Return the end of its output."""
        text = self.log.read_text(errors="replace")
        return f"the end of the log of {self.name}:\n" + "\n".join(text.splitlines()[-lines:])


class Engine:
    """The services of the compose file, started one by one.

    Parameters
    ----------
    directory:
        With ``secrets`` in it, for volumes and logs; removed by its owner.
    knobs:
        As in .env.
    scale:
        How many containers a service has, where not one.
    """

    def __init__(self, directory: Path, knobs: Mapping[str, str], scale: Mapping[str, int]) -> None:
        missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
        assert not missing, f"missing on PATH: {', '.join(missing)}"
        assert os.geteuid() == 0, "namespaces need root"
        self.directory = directory
        self.containers: dict[str, Container] = {}
        self._compose = read_compose(knobs)
        self._services: dict[str, dict[str, Any]] = self._compose["services"]
        self._names = {
            service: [f"{service}-{number}" for number in range(1, scale[service] + 1)]
            if service in scale
            else [service]
            for service in self._services
        }
        self._networks = Networks(
            self._compose, {name: service for service, names in self._names.items() for name in names}
        )

    def up(self, services: Iterable[str], *, seconds: float) -> None:
        """Start the named services in the order and under the conditions of ``depends_on``."""
        waiting = list(services)
        while waiting:
            ready = [one for one in waiting if not set(self._services[one].get("depends_on", {})) & set(waiting)]
            for service in ready:
                for other, how in self._services[service].get("depends_on", {}).items():
                    self._wait_for(other, how["condition"], seconds)
                for name in self._names[service]:
                    self._start(name, service)
                waiting.remove(service)

    def restart(self, name: str) -> None:
        """Start a container that has ended again, on the same networks and volumes."""
        self.containers[name].process = self._spawn(name)

    def wait_healthy(self, name: str, seconds: float) -> None:
        """Return once the health check of a container succeeds; fail if it ends or takes too long."""
        container = self.containers[name]
        kind, *command = self._services[container.service]["healthcheck"]["test"]
        assert kind == "CMD"
        deadline = time.monotonic() + seconds
        while self.execute(name, *command).returncode != 0:
            assert container.process.poll() is None, f"{name} has ended:\n{container.tell()}"
            assert time.monotonic() < deadline, f"{name} is not healthy after {seconds:.0f} s:\n{container.tell()}"
            time.sleep(0.5)

    def execute(self, name: str, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in a container, as its user and with its environment."""
        container = self.containers[name]
        first = container.first
        if first is None:
            return subprocess.CompletedProcess(command, 1, "", "it does not run")
        layer = Layer(self.directory, container.service, self._compose)
        inside = ["nsenter", "--target", str(first.pid), "--mount", "--uts", "--ipc", "--net", "--pid", "--root"]
        return subprocess.run(
            [*inside, *layer.as_its_user(name), *command], capture_output=True, text=True, timeout=120
        )

    def stop(self, name: str, *, seconds: float = 60) -> int:
        """Ask a container to stop as the engine would, kill it after the timeout, and return its exit status."""
        container = self.containers[name]
        if first := container.first:
            first.send_signal(signal.Signals[self._services[container.service].get("stop_signal", "SIGTERM")])
        try:
            return container.process.wait(seconds)
        except subprocess.TimeoutExpired:
            container.kill()
            return int(container.process.returncode)

    def close(self) -> None:
        """End everything."""
        for container in self.containers.values():
            container.kill()
        self._networks.close()

    def _wait_for(self, service: str, condition: str, seconds: float) -> None:
        for container in [one for one in self.containers.values() if one.service == service]:
            if condition == "service_completed_successfully":
                assert container.process.wait(seconds) == 0, container.tell()
            else:
                self.wait_healthy(container.name, seconds)

    def _start(self, name: str, service: str) -> None:
        place = self.directory / "containers" / name
        place.mkdir(parents=True)
        layer = Layer(self.directory, service, self._compose)
        (place / "start.sh").write_text(layer.script(name, place, self._networks.hosts(name)))
        self._networks.connect(name)
        log = self.directory / f"{name}.log"
        log.touch()
        self.containers[name] = Container(name, service, self._networks.addresses[name], log, self._spawn(name))

    def _spawn(self, name: str) -> subprocess.Popen[bytes]:
        with (self.directory / f"{name}.log").open("ab") as output:
            return subprocess.Popen(
                [
                    *("ip", "netns", "exec", self._networks.namespace(name)),
                    *("unshare", "--mount", "--uts", "--ipc", "--pid", "--fork"),
                    *("bash", str(self.directory / "containers" / name / "start.sh")),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
