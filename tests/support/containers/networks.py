"""Create the networks of the compose file as bridges, and a namespace for each container."""

from __future__ import annotations

import secrets
import shlex
import subprocess
from collections.abc import Mapping
from typing import Any


class Networks:
    """A bridge for each network in use, with an address for every container on those of its service.

    Nothing leads out of them, whether compose.yaml calls them internal or not.

    Parameters
    ----------
    compose:
        The compose file.
    containers:
        The service of each container, by its name.
    """

    def __init__(self, compose: Mapping[str, Any], containers: Mapping[str, str]) -> None:
        self._services = containers
        # Runs at the same time need different names, none longer than the kernel accepts.
        self._mark = secrets.token_hex(2)
        self._bridges: dict[str, str] = {}
        self._links = 0
        self._subnets = {network: f"10.213.{number}" for number, network in enumerate(compose["networks"], start=100)}
        taken = dict.fromkeys(self._subnets, 1)
        self.addresses: dict[str, dict[str, str]] = {}
        for name, service in containers.items():
            self.addresses[name] = {}
            for network in compose["services"][service]["networks"]:
                taken[network] += 1
                self.addresses[name][network] = f"{self._subnets[network]}.{taken[network]}"

    def namespace(self, name: str) -> str:
        """Return the network namespace of a container."""
        return f"sh{self._mark}-{name}"

    def connect(self, name: str) -> None:
        """Create the namespace of a container, with a link to each of its networks."""
        namespace = self.namespace(name)
        _ip(f"netns add {namespace}")
        _ip(f"-n {namespace} link set lo up")
        for number, (network, address) in enumerate(self.addresses[name].items()):
            self._links += 1
            outer = f"v{self._mark}{self._links}"
            _ip(f"link add {outer} type veth peer name eth{number} netns {namespace}")
            _ip(f"link set {outer} master {self._bridge(network)} up")
            _ip(f"-n {namespace} address add {address}/24 dev eth{number}")
            _ip(f"-n {namespace} link set eth{number} up")

    def hosts(self, name: str) -> str:
        """Return what an engine's name server tells a container: its neighbors on its own networks."""
        lines = ["127.0.0.1 localhost"]
        for other, addresses in self.addresses.items():
            shared = [addresses[one] for one in self.addresses[name] if one in addresses]
            lines += [f"{address} {self._services[other]} {other}" for address in shared]
        return "\n".join(lines) + "\n"

    def close(self) -> None:
        """Remove everything that was created."""
        for name in self._services:
            subprocess.run(["ip", "netns", "delete", self.namespace(name)], check=False, capture_output=True)
        for bridge in self._bridges.values():
            subprocess.run(["ip", "link", "delete", bridge], check=False, capture_output=True)

    def _bridge(self, network: str) -> str:
        if network not in self._bridges:
            bridge = self._bridges[network] = f"sh{self._mark}{len(self._bridges)}"
            _ip(f"link add {bridge} type bridge")
            # Tests reach the containers through this bridge.
            _ip(f"address add {self._subnets[network]}.1/24 dev {bridge}")
            _ip(f"link set {bridge} up")
        return self._bridges[network]


def _ip(arguments: str) -> None:
    done = subprocess.run(["ip", *shlex.split(arguments)], capture_output=True, text=True)
    assert done.returncode == 0, f"ip {arguments}: {done.stderr}"
