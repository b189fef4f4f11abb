"""What a process needs before it starts where others run its servers: its secrets, and a database that it can trust.

Each fault is refused with its remedy, instead of being met later in the midst of a traceback.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable
from pathlib import Path

import psycopg2

from include.errors import PlatformError
from include.platform.postgres import ensure_passwords
from include.settings import PREFIX, Role, Settings

# What libpq says, and what a person can do about it. The first that fits is told.
_REMEDIES = (
    (
        "certificate verify failed",
        f"The server's certificate is not from the authority in {PREFIX}DATABASE_SSLROOTCERT: give the right one, and "
        "if it is right, find out who answers at this address",
    ),
    (
        "does not match host name",
        f"The certificate is for another name: use that one as {PREFIX}DATABASE_HOST, or have a certificate made for "
        "this one",
    ),
    ("certificate has expired", "Renew the server's certificate; the container of PostgreSQL does it at its start"),
    (
        "root certificate file",
        f"Put the authority's certificate where {PREFIX}DATABASE_SSLROOTCERT says, readable for this process",
    ),
    ("does not support SSL", f"Turn on TLS there, or do not ask for it with {PREFIX}DATABASE_SSLMODE"),
    (
        "no encryption",
        f"The server takes encrypted connections only: set {PREFIX}DATABASE_SSLMODE=verify-full and "
        f"{PREFIX}DATABASE_SSLROOTCERT",
    ),
    (
        "password authentication failed",
        "The password file and the server disagree: give the role the password that is in the file",
    ),
    ("no password supplied", "The password file has no line for this role: add *:*:*:<role>:<password>"),
    ("could not translate host name", f"Correct {PREFIX}DATABASE_HOST, or the network of this machine or container"),
)
_OTHERWISE = "Start it, or correct the settings of the database"


def check_secrets(settings: Settings, names: Iterable[str], roles: Iterable[str]) -> None:
    """Check that each file of a secret is there with something in it, and that every role has its password.

    Raises
    ------
    PlatformError
        With every fault at once.
    """
    roles = list(roles)
    faults = [fault for name in names if (fault := _fault_of(settings.secrets_dir / name))]
    if roles and (fault := _fault_of(settings.passfile)):
        faults.append(fault)
    elif roles:
        if stat.S_IMODE(settings.passfile.stat().st_mode) & 0o077:
            faults.append(f"{settings.passfile} is open to others, so libpq does not use it: chmod 600")
        known = ensure_passwords(settings.passfile)
        faults += [f"{settings.passfile} has no password of {role}" for role in roles if role not in known]
    if faults:
        raise PlatformError(
            "nothing has been started, secrets are missing:\n  - " + "\n  - ".join(faults),
            "Provide them; `make docker-secrets` makes those of the containers",
        )


def check_database(settings: Settings, role: Role, database: str | None = None) -> None:
    """Connect once as a role.

    Raises
    ------
    PlatformError
        With what the server or libpq says, and the remedy for that.
    """
    try:
        psycopg2.connect(settings.dsn(role, database), connect_timeout=10).close()
    except psycopg2.OperationalError as error:
        said = str(error).strip()
        remedy = next((remedy for sign, remedy in _REMEDIES if sign in said), _OTHERWISE)
        where = f"{settings.database_host or settings.socket_dir}:{settings.database_port}"
        raise PlatformError(f"PostgreSQL at {where} refuses the role shop_{role}: {said}", remedy) from error


def _fault_of(path: Path) -> str | None:
    try:
        return None if path.read_text(encoding="utf-8").strip() else f"{path} is empty"
    except FileNotFoundError:
        return f"{path} is missing"
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
