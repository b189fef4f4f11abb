"""Check the secrets and the database before a process starts where its servers are run by others.

Each fault is reported with its remedy, instead of surfacing later in the middle of a traceback.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable
from pathlib import Path

import psycopg2

from include.errors import PlatformError
from include.platform.services.postgres import ensure_passwords
from include.settings import PREFIX, Role, Settings

# Fragments of libpq's messages, each with its remedy. The first match is reported.
_REMEDIES = (
    (
        "certificate verify failed",
        f"The server's certificate is not from the authority in {PREFIX}DATABASE_SSLROOTCERT: set the right authority. "
        "If it is the right one, find out which server answers at this address",
    ),
    (
        "does not match host name",
        f"The certificate is for another name: use that name as {PREFIX}DATABASE_HOST, or issue a certificate for "
        "this one",
    ),
    ("certificate has expired", "Renew the server's certificate; the PostgreSQL container does so at its start"),
    (
        "root certificate file",
        f"Put the authority's certificate where {PREFIX}DATABASE_SSLROOTCERT says, readable by this process",
    ),
    ("does not support SSL", f"Turn on TLS on the server, or do not require it in {PREFIX}DATABASE_SSLMODE"),
    (
        "no encryption",
        f"The server accepts encrypted connections only: set {PREFIX}DATABASE_SSLMODE=verify-full and "
        f"{PREFIX}DATABASE_SSLROOTCERT",
    ),
    (
        "password authentication failed",
        "The password file and the server disagree: set the role's password to the one in the file",
    ),
    ("no password supplied", "The password file has no line for this role: add *:*:*:<role>:<password>"),
    ("could not translate host name", f"Correct {PREFIX}DATABASE_HOST, or the network of this machine or container"),
)
_OTHERWISE = "Start it, or correct the settings of the database"


def check_secrets(settings: Settings, names: Iterable[str], roles: Iterable[str]) -> None:
    """Check that no secret's file is missing or empty, and that every role has its password.

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
            "Provide them; `make docker-secrets` creates those of the containers",
        )


def check_database(settings: Settings, role: Role, database: str | None = None) -> None:
    """Make one test connection as a role.

    Raises
    ------
    PlatformError
        When it fails, with the message of the server or libpq and the remedy.
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
