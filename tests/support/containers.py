"""Runs the services of docker/compose.yaml on this machine without an engine of containers.

Each gets what the engine would give it: namespaces of its own (mounts, processes, host name, network), a root that is a
throwaway layer over this machine's and read-only where compose.yaml says so, the files of its image, its volumes,
secrets, user, environment, command and health check, and a link to each of its networks. What differs: the programs
below are this machine's, not those of the base images; nothing limits memory and processors; nothing restarts what has
ended; names are resolved by /etc/hosts.

Needs root on Linux with overlayfs, and ip, unshare, nsenter and setpriv (Debian: iproute2 and util-linux).
"""

from __future__ import annotations

import json
import os
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from include.settings import REPOSITORY
from tests.support.compose import DOCKER, Image, read_compose, read_dockerfile
from tests.support.tls_postgres import binaries

# What these images bring along and this machine has in another place.
_PROGRAMS = {"prometheus": ["/usr/bin/prometheus"]}
_USERS = {"prometheus": (65534, 65534)}
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_POSTGRES_HOME = "/usr/lib/postgresql/18"
_TOOLS = ("ip", "unshare", "nsenter", "setpriv", "chroot", "mount")


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
    process:
        What has made the namespaces; it ends with the first process in them.
    log:
        What it has written.
    """

    name: str
    service: str
    addresses: dict[str, str]
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def first(self) -> psutil.Process | None:
        """Process 1 of the container, as this machine sees it; None while it is being made, and when it has ended."""
        try:
            (child,) = psutil.Process(self.process.pid).children()
            is_made = str(Path(f"/proc/{child.pid}/root").readlink()) != "/"
        except (psutil.Error, OSError, ValueError):
            return None
        return child if is_made else None

    @property
    def address(self) -> str:
        """On its first network."""
        return next(iter(self.addresses.values()))


@dataclass
class Engine:
    """The services of the compose file, started one by one.

    Parameters
    ----------
    directory:
        For volumes, logs and secrets; removed by its owner.
    knobs:
        As in .env.
    scale:
        How many containers a service has, where not one.
    """

    directory: Path
    knobs: Mapping[str, str]
    scale: Mapping[str, int] = field(default_factory=dict)
    containers: dict[str, Container] = field(default_factory=dict)

    def __post_init__(self) -> None:
        missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
        if missing or os.geteuid() != 0:
            raise RuntimeError(f"root is needed, and on PATH: {', '.join(missing) or 'nothing more'}")
        self.compose = read_compose(self.knobs)
        self.services: dict[str, dict[str, Any]] = self.compose["services"]
        self._mark = secrets.token_hex(2)
        self._bridges: dict[str, str] = {}
        self._addresses = self._plan()

    # Networks ---------------------------------------------------------------------------------------------------------

    def _plan(self) -> dict[str, dict[str, str]]:
        """An address for every container on every network of its service."""
        planned: dict[str, dict[str, str]] = {}
        used = dict.fromkeys(self.compose["networks"], 1)
        subnets = {network: number for number, network in enumerate(used, start=100)}
        for service, description in self.services.items():
            for number in range(1, self.scale.get(service, 1) + 1):
                addresses = planned[self._name(service, number)] = {}
                for network in description["networks"]:
                    used[network] += 1
                    addresses[network] = f"10.213.{subnets[network]}.{used[network]}"
        return planned

    def _name(self, service: str, number: int) -> str:
        return f"{service}-{number}" if service in self.scale else service

    def _bridge(self, network: str) -> str:
        if network not in self._bridges:
            bridge = self._bridges[network] = f"sh{self._mark}{len(self._bridges)}"
            subnet = next(one[network] for one in self._addresses.values() if network in one).rpartition(".")[0]
            _run("ip", "link", "add", bridge, "type", "bridge")
            _run("ip", "address", "add", f"{subnet}.1/24", "dev", bridge)
            _run("ip", "link", "set", bridge, "up")
        return self._bridges[network]

    def _connect(self, name: str) -> str:
        """Make the network namespace of a container with a link to each of its networks; returns its name."""
        namespace = f"sh{self._mark}-{name}"
        _run("ip", "netns", "add", namespace)
        _run("ip", "-n", namespace, "link", "set", "lo", "up")
        for number, (network, address) in enumerate(self._addresses[name].items()):
            outer = f"v{self._mark}{len(self.containers)}x{number}"
            _run("ip", "link", "add", outer, "type", "veth", "peer", "name", f"eth{number}", "netns", namespace)
            _run("ip", "link", "set", outer, "master", self._bridge(network), "up")
            _run("ip", "-n", namespace, "address", "add", f"{address}/24", "dev", f"eth{number}")
            _run("ip", "-n", namespace, "link", "set", f"eth{number}", "up")
        return namespace

    def _hosts(self, name: str) -> str:
        """What the engine's name server tells a container: the neighbours on its own networks."""
        own = self._addresses[name]
        lines = ["127.0.0.1 localhost"]
        for other, addresses in self._addresses.items():
            service = next(one for one in self.services if other == one or other.rpartition("-")[0] == one)
            lines += [f"{addresses[one]} {service} {other}" for one in own if one in addresses]
        return "\n".join(lines) + "\n"

    # Containers -------------------------------------------------------------------------------------------------------

    def start(self, service: str, number: int = 1) -> Container:
        """Start a container of a service, without waiting for anything."""
        name = self._name(service, number)
        place = self.directory / "containers" / name
        place.mkdir(parents=True, exist_ok=True)
        script = place / "start.sh"
        script.write_text(self._script(service, name, place))
        namespace = self._connect(name)
        log = self.directory / f"{name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                [
                    *("ip", "netns", "exec", namespace),
                    *("unshare", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child"),
                    *("bash", str(script)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        container = self.containers[name] = Container(name, service, self._addresses[name], process, log)
        return container

    def up(self, services: Iterable[str], *, seconds: float) -> None:
        """Start services in the order and under the conditions of ``depends_on``, as far as they are named here."""
        waiting = list(services)
        while waiting:
            ready = [one for one in waiting if not set(self.services[one].get("depends_on", {})) & set(waiting)]
            for service in ready:
                for other, how in self.services[service].get("depends_on", {}).items():
                    self._wait_for(other, how["condition"], seconds)
                for number in range(1, self.scale.get(service, 1) + 1):
                    self.start(service, number)
                waiting.remove(service)

    def _wait_for(self, service: str, condition: str, seconds: float) -> None:
        for container in [one for one in self.containers.values() if one.service == service]:
            if condition == "service_completed_successfully":
                assert container.process.wait(seconds) == 0, self.tell(container.name)
            else:
                self.wait_healthy(container.name, seconds)

    def wait_healthy(self, name: str, seconds: float) -> None:
        """Return as soon as the health check of a container succeeds; fail when it ends or takes too long."""
        deadline = time.monotonic() + seconds
        while not self.is_healthy(name):
            assert self.containers[name].process.poll() is None, f"{name} has ended:\n{self.tell(name)}"
            assert time.monotonic() < deadline, f"{name} is not healthy after {seconds:.0f} s:\n{self.tell(name)}"
            time.sleep(0.5)

    def is_healthy(self, name: str) -> bool:
        """Run the health check of a container once."""
        kind, *command = self.services[self.containers[name].service]["healthcheck"]["test"]
        assert kind == "CMD"
        return self.execute(name, *command).returncode == 0

    def execute(self, name: str, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in a container, as its user and with its environment."""
        container = self.containers[name]
        first = container.first
        if first is None:
            return subprocess.CompletedProcess(command, 1, "", "it does not run")
        inside = ["nsenter", "--target", str(first.pid), "--mount", "--uts", "--ipc", "--net", "--pid"]
        inside += ["--root", *self._as_its_user(container.service, name), *command]
        return subprocess.run(inside, capture_output=True, text=True, timeout=120)

    def stop(self, name: str, *, seconds: float = 60) -> int:
        """Ask a container to stop as the engine would; returns the exit status, or kills it."""
        container = self.containers[name]
        first = container.first
        if first is not None:
            first.send_signal(signal.Signals[self.services[container.service].get("stop_signal", "SIGTERM")])
        try:
            return container.process.wait(seconds)
        except subprocess.TimeoutExpired:
            container.process.kill()
            return container.process.wait()

    def tell(self, name: str, lines: int = 40) -> str:
        """The end of what a container has written."""
        text = self.containers[name].log.read_text(errors="replace")
        return f"the end of the log of {name}:\n" + "\n".join(text.splitlines()[-lines:])

    def close(self) -> None:
        """End everything and take the networks down."""
        for container in self.containers.values():
            if container.process.poll() is None:
                container.process.kill()
            container.process.wait()
            subprocess.run(["ip", "netns", "delete", f"sh{self._mark}-{container.name}"], check=False)
        for bridge in self._bridges.values():
            subprocess.run(["ip", "link", "delete", bridge], check=False)

    # What the engine makes of the description ---------------------------------------------------------------------------

    def _image(self, service: str) -> Image:
        build = self.services[service].get("build")
        return read_dockerfile(REPOSITORY / build["dockerfile"]) if build else Image(self.services[service]["image"])

    def _user(self, service: str) -> tuple[int, int]:
        description = self.services[service]
        if service in _USERS:
            return _USERS[service]
        if "user" in description:
            uid, gid = description["user"].split(":")
            return int(uid), int(gid)
        arguments = description["build"]["args"]
        return int(arguments["SHOPSTREAM_UID"]), int(arguments["SHOPSTREAM_GID"])

    def _as_its_user(self, service: str, name: str) -> list[str]:
        """What a command is prefixed with to run as the engine runs it: user, no capabilities, environment."""
        uid, gid = self._user(service)
        image = self._image(service)
        path = f"{_POSTGRES_HOME}/bin:{_PATH}" if service == "postgres" else _PATH
        environment = {
            "PATH": path,
            "HOSTNAME": name,
            "LC_ALL": "C.UTF-8",
            **image.environment,
            **self.services[service].get("environment", {}),
        }
        return [
            *("setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "--no-new-privs"),
            *("--inh-caps=-all", "--bounding-set=-all"),
            *("env", "--ignore-environment", f"--chdir={image.directory}"),
            *(f"{variable}={value}" for variable, value in environment.items()),
        ]

    def _command(self, service: str) -> list[str]:
        description, image = self.services[service], self._image(service)
        entrypoint = description.get("entrypoint") or image.entrypoint or _PROGRAMS[service]
        return [*entrypoint, *description.get("command", [])]

    def _script(self, service: str, name: str, place: Path) -> str:
        """The shell script that makes the container from within its namespaces and becomes its first process."""
        description, image = self.services[service], self._image(service)
        uid, gid = self._user(service)
        root = place / "layer" / "root"
        lines = [
            "set -eu",
            "mount --make-rprivate /",
            f"mkdir -p {place}/layer && mount -t tmpfs layer {place}/layer",
            f"mkdir {place}/layer/upper {place}/layer/work {root}",
            f"mount -t overlay layer -o lowerdir=/,upperdir={place}/layer/upper,workdir={place}/layer/work {root}",
            f"hostname {name}",
            f"mount -t proc proc {root}/proc",
            f"mount --rbind /dev {root}/dev",
            f"mount -t tmpfs -o size={description.get('shm_size', '64m')} shm {root}/dev/shm",
            f"mount --rbind /sys {root}/sys",
            f"mount -t tmpfs run {root}/run && mkdir {root}/run/secrets {root}/run/lock",
            f"echo 'shopstream:x:{uid}:{gid}::/nonexistent:/usr/sbin/nologin' >> {root}/etc/passwd",
            f"echo 'shopstream:x:{gid}:' >> {root}/etc/group",
            f"printf %s {shlex.quote(self._hosts(name))} > {root}/etc/hosts",
            # The interpreter of this machine may lie in a home that is closed to others; its layer here is not.
            *(f"chmod o+x {root}{parent}" for parent in Path(sys.base_prefix).parents),
        ]
        if service == "postgres":
            lines.append(f"rm -rf {root}{_POSTGRES_HOME}")
            lines += _bind(binaries().parent, root, _POSTGRES_HOME, read_only=True)
        for source, target in image.files.items():
            lines += _bind((REPOSITORY / source).resolve(), root, target, read_only=True)
        if image.environment.get("SHOPSTREAM_JAVA_HOME"):
            lines += _bind(self._java(), root, image.environment["SHOPSTREAM_JAVA_HOME"], read_only=True)
        for volume in sorted(description.get("volumes", []), key=str):
            lines += self._volume(volume, root, uid, gid)
        for one in description.get("secrets", []):
            source, target = (one, one) if isinstance(one, str) else (one["source"], one["target"])
            file = self.directory / Path(self.compose["secrets"][source]["file"])
            lines += _bind(file.resolve(), root, f"/run/secrets/{target}", read_only=True)
        for one in description.get("tmpfs", []):
            target, _, options = one.partition(":")
            place = f"{root}{_real(target)}"
            lines.append(f"mkdir -p {place} && mount -t tmpfs -o {options or 'mode=1777'} tmpfs {place}")
        if description.get("read_only"):
            lines.append(f"mount -o remount,ro {root}")
        command = [*self._as_its_user(service, name), *self._command(service)]
        lines.append(f"exec chroot {root} {shlex.join(command)}")
        return "\n".join(lines) + "\n"

    def _volume(self, volume: Any, root: Path, uid: int, gid: int) -> list[str]:
        if isinstance(volume, dict):
            source, target, read_only = volume["source"], volume["target"], bool(volume.get("read_only"))
        else:
            source, target, *rest = volume.split(":")
            read_only = rest == ["ro"]
        if source.startswith("."):
            return _bind((DOCKER / source).resolve(), root, target, read_only=read_only)
        path = self.directory / "volumes" / source
        if not path.exists():
            # As the engine does, from the directory of the image.
            path.mkdir(parents=True)
            os.chown(path, uid, gid)
        return _bind(path, root, target, read_only=read_only)

    def _java(self) -> Path:
        """The launcher that the Dockerfile makes, by the command that it makes it with."""
        home = self.directory / "image"
        if not home.exists():
            home.mkdir()
            home.chmod(0o755)
            environment = {"SHOPSTREAM_HOME": str(home), "PATH": _PATH, "PYTHONPATH": str(REPOSITORY)}
            subprocess.run([sys.executable, "-m", "include.platform.java"], check=True, env=environment)
        return home / "java"


def _bind(source: Path, root: Path, target: str, *, read_only: bool) -> list[str]:
    place = f"{root}{_real(target)}"
    make = f"mkdir -p {place}" if source.is_dir() else f"mkdir -p {Path(place).parent} && touch {place}"
    lines = [make, f"mount --bind {source} {place}"]
    return [*lines, f"mount -o remount,bind,ro {place}"] if read_only else lines


def _real(target: str) -> str:
    """A path without links: one such as /var/run would lead out of the layer."""
    return os.path.realpath(target)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{json.dumps(command)}: {done.stderr}"
