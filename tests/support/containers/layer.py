"""Describe what a container finds: its image, its mounts, its user and its environment."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from include.settings import REPOSITORY
from tests.support.compose import DOCKER, Image, read_dockerfile
from tests.support.tls_postgres import binaries

# Programs of these images that this machine has in another place.
_PROGRAMS = {"prometheus": ["/usr/bin/prometheus"]}
_USERS = {"prometheus": (65534, 65534)}
_POSTGRES = "/usr/lib/postgresql/18"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Layer:
    """The surroundings of the containers of one service.

    Parameters
    ----------
    directory:
        With ``secrets`` in it, for volumes and what images are made of.
    service:
        Its name in the compose file.
    compose:
        The compose file.
    """

    def __init__(self, directory: Path, service: str, compose: dict[str, Any]) -> None:
        self._directory = directory
        self._service = service
        self._secrets = compose["secrets"]
        self.description: dict[str, Any] = compose["services"][service]
        build = self.description.get("build")
        self._image = read_dockerfile(REPOSITORY / build["dockerfile"]) if build else Image(self.description["image"])

    @property
    def user(self) -> tuple[int, int]:
        """Return the numbers of user and group."""
        if self._service in _USERS:
            return _USERS[self._service]
        if "user" in self.description:
            uid, gid = self.description["user"].split(":")
        else:
            arguments = self.description["build"]["args"]
            uid, gid = arguments["SHOPSTREAM_UID"], arguments["SHOPSTREAM_GID"]
        return int(uid), int(gid)

    def as_its_user(self, name: str) -> list[str]:
        """Return the prefix that runs a command as in the container: user, capabilities, environment, directory."""
        uid, gid = self.user
        environment = {
            "PATH": f"{_POSTGRES}/bin:{_PATH}" if self._service == "postgres" else _PATH,
            "HOME": self._image.home,
            "HOSTNAME": name,
            "LC_ALL": "C.UTF-8",
            **self._image.environment,
            **self.description.get("environment", {}),
        }
        return [
            *("setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "--no-new-privs"),
            *("--inh-caps=-all", "--bounding-set=-all"),
            *("env", "--ignore-environment", f"--chdir={self._image.directory}"),
            *(f"{variable}={value}" for variable, value in environment.items()),
        ]

    def script(self, name: str, place: Path, hosts: str) -> str:
        """Return the shell script that creates a container within its namespaces and becomes its first process."""
        uid, gid = self.user
        root = place / "layer" / "root"
        shared_memory = self.description.get("shm_size", "64m")
        lines = [
            "set -eu",
            "mount --make-rprivate /",
            f"mkdir -p {place}/layer && mount -t tmpfs layer {place}/layer",
            f"mkdir {place}/layer/upper {place}/layer/work {root}",
            f"mount -t overlay layer -o lowerdir=/,upperdir={place}/layer/upper,workdir={place}/layer/work {root}",
            f"hostname {name}",
            f"mount -t proc proc {root}/proc",
            f"mount --rbind /dev {root}/dev",
            f"mount -t tmpfs -o size={shared_memory} shm {root}/dev/shm",
            f"mount --rbind /sys {root}/sys",
            f"mount -t tmpfs run {root}/run && mkdir {root}/run/secrets {root}/run/lock",
            f"echo 'shopstream:x:{uid}:{gid}::{self._image.home}:/usr/sbin/nologin' >> {root}/etc/passwd",
            f"echo 'shopstream:x:{gid}:' >> {root}/etc/group",
            f"printf %s {shlex.quote(hosts)} > {root}/etc/hosts",
            # This machine's interpreter may be in a home that is closed to others; its layer here is not.
            *(f"chmod o+x {root}{parent}" for parent in Path(sys.base_prefix).parents),
            *self._files(root),
            *self._mounts(root),
        ]
        if self.description.get("read_only"):
            lines.append(f"mount -o remount,ro {root}")
        entrypoint = self.description.get("entrypoint") or self._image.entrypoint or _PROGRAMS[self._service]
        command = [*self.as_its_user(name), *entrypoint, *self.description.get("command", [])]
        return "\n".join([*lines, f"exec chroot {root} {shlex.join(command)}"]) + "\n"

    def _files(self, root: Path) -> list[str]:
        """Return the commands that provide the files of the image."""
        lines = []
        if self._service == "postgres":
            lines += [f"rm -rf {root}{_POSTGRES}", *_bind(binaries().parent, root, _POSTGRES, read_only=True)]
        for source, target in self._image.files.items():
            if source == ".venv":
                # Nothing is installed into the tests' environment, so the additions of the image are mounted over it.
                layers = f"lowerdir={self._added_packages()}:{(REPOSITORY / source).resolve()}"
                lines.append(f"mkdir -p {root}{target} && mount -t overlay packages -o {layers} {root}{target}")
            else:
                lines += _bind((REPOSITORY / source).resolve(), root, target, read_only=True)
        if java := self._image.environment.get("SHOPSTREAM_JAVA_HOME"):
            lines += _bind(self._java(), root, java, read_only=True)
        return lines

    def _mounts(self, root: Path) -> list[str]:
        """Return the commands that mount volumes, secrets and temporary file systems."""
        lines = []
        for volume in sorted(self.description.get("volumes", []), key=str):
            lines += self._volume(volume, root)
        for one in self.description.get("secrets", []):
            source, target = (one, one) if isinstance(one, str) else (one["source"], one["target"])
            file = self._directory / self._secrets[source]["file"]
            lines += _bind(file.resolve(), root, f"/run/secrets/{target}", read_only=True)
        for one in self.description.get("tmpfs", []):
            target, _, options = one.partition(":")
            place = f"{root}{_real(target)}"
            lines.append(f"mkdir -p {place} && mount -t tmpfs -o {options or 'mode=1777'} tmpfs {place}")
        if ".venv" in self._image.files:
            # The environment's scripts name their interpreter by the path at which they were installed.
            place = f"{root}{(REPOSITORY / '.venv').resolve()}"
            lines.append(f"mkdir -p {place} && mount --bind {root}{self._image.files['.venv']} {place}")
        return lines

    def _volume(self, volume: Any, root: Path) -> list[str]:
        if isinstance(volume, dict):
            source, target, read_only = volume["source"], volume["target"], bool(volume.get("read_only"))
        else:
            source, target, *rest = volume.split(":")
            read_only = rest == ["ro"]
        if source.startswith("."):
            return _bind((DOCKER / source).resolve(), root, target, read_only=read_only)
        path = self._directory / "volumes" / source
        if not path.exists():
            # Create it with the owner that the image's directory has, as the engine does.
            path.mkdir(parents=True)
            os.chown(path, *self.user)
        return _bind(path, root, target, read_only=read_only)

    def _added_packages(self) -> Path:
        """Return the packages that the image adds to requirements.txt, installed as in the Dockerfile."""
        home = self._directory / "packages"
        if not home.exists():
            target = home / Path(sysconfig.get_path("purelib")).relative_to(sys.prefix)
            pip = [sys.executable, "-m", "pip", "install", "-qq", "--no-deps", "--require-hashes", "--no-compile"]
            packages = ["--target", str(target), "-r", str(DOCKER / "app" / "celery.txt")]
            subprocess.run([*pip, *packages], check=True)
        return home

    def _java(self) -> Path:
        """Return the Java launcher, created by the command of the Dockerfile."""
        home = self._directory / "image"
        if not home.exists():
            home.mkdir()
            home.chmod(0o755)
            environment = {"SHOPSTREAM_HOME": str(home), "PATH": _PATH, "PYTHONPATH": str(REPOSITORY)}
            subprocess.run([sys.executable, "-m", "include.platform.installation.java"], check=True, env=environment)
            launcher = home / "java" / "bin" / "java"
            text = launcher.read_text().replace(sys.prefix, self._image.files[".venv"])
            launcher.write_text(text.replace(str(home / "java"), self._image.environment["SHOPSTREAM_JAVA_HOME"]))
        return home / "java"


def _bind(source: Path, root: Path, target: str, *, read_only: bool) -> list[str]:
    place = f"{root}{_real(target)}"
    make = f"mkdir -p {place}" if source.is_dir() else f"mkdir -p {Path(place).parent} && touch {place}"
    lines = [make, f"mount --bind {source} {place}"]
    return [*lines, f"mount -o remount,bind,ro {place}"] if read_only else lines


def _real(target: str) -> str:
    """Return a path without links; one such as /var/run would lead out of the layer."""
    return os.path.realpath(target)
