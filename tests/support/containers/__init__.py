"""Run the services of docker/compose.yaml on this machine without a container engine.

Each service gets what the engine would give it: its own namespaces (mounts, processes, host name, network), a root that
is a throwaway layer over this machine's and read-only where compose.yaml says so, the files of its image, its volumes,
secrets, user, environment, command and health check, and a link to each of its networks. Four things differ: the
programs below are this machine's and not those of the base images; memory and processors are not limited; nothing
restarts a container; names are resolved by /etc/hosts.

It needs root on Linux with overlayfs, and the programs that the engine names.
"""

from tests.support.containers.engine import Container, Engine

__all__ = ["Container", "Engine"]
