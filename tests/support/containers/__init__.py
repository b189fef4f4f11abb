"""Runs the services of docker/compose.yaml on this machine without an engine of containers.

Each gets what the engine would give it: namespaces of its own (mounts, processes, host name, network), a root that is a
throwaway layer over this machine's and read-only where compose.yaml says so, the files of its image, its volumes,
secrets, user, environment, command and health check, and a link to each of its networks. What differs: the programs
below are this machine's, not those of the base images; nothing limits memory and processors; nothing restarts what has
ended; names are resolved by /etc/hosts.

Needs root on Linux with overlayfs, and the programs that the engine names.
"""

from tests.support.containers.engine import Container, Engine

__all__ = ["Container", "Engine"]
