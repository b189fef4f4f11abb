"""Generate random keys and passwords once, and store them in files that only their owner can read."""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from include.errors import PlatformError
from include.settings import Settings

ADMIN = "admin"
ADMIN_FILE = "admin-password"

_AIRFLOW: dict[str, Callable[[], str]] = {
    "fernet-key": lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
    "api-secret-key": lambda: secrets.token_urlsafe(32),
    # Airflow signs with HS512, for which 64 bytes are recommended.
    "jwt-secret": lambda: secrets.token_urlsafe(64),
}


AIRFLOW_FILES = tuple(_AIRFLOW)


def airflow_secrets(settings: Settings) -> dict[str, Path]:
    """Return the files of Airflow's keys by name, creating missing ones below ``secrets_dir``."""
    files = {name: settings.secrets_dir / name for name in _AIRFLOW}
    for name, path in files.items():
        keep_secret(path, _AIRFLOW[name])
    return files


def admin_password_file(settings: Settings) -> Path:
    """Return the path of the file with the password of the Airflow user ``admin``."""
    return settings.secrets_dir / ADMIN_FILE


def admin_password(settings: Settings) -> str:
    """Return the password of the Airflow user ``admin``.

    A file written before the first ``make up`` sets the password. Later the file only records it: change the password
    in Airflow, as docs/operations.md describes.
    """
    return keep_secret(admin_password_file(settings), lambda: secrets.token_urlsafe(12))


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, atomically even across a power failure."""
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def keep_secret(path: Path, make: Callable[[], str]) -> str:
    """Read a secret, or generate it and atomically write its file with mode 0600.

    Raises
    ------
    PlatformError
        When the file is empty, cannot be read, or is missing and cannot be created.
    """
    try:
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_private(path, make() + "\n")
        if secret := path.read_text(encoding="utf-8").strip():
            return secret
        raise PlatformError(
            f"the secret {path} is empty, perhaps after a power cut",
            "Restore it from a backup, or delete it, and the next `make up` generates a new one. With a new "
            "fernet-key, the secrets stored in Airflow's Connections cannot be read any more",
        )
    except OSError as error:
        raise PlatformError(
            f"the secret {path} is missing or not readable by this process: {error.strerror}",
            "Provide the file, mode 0600, owned by the user of this process; `make docker-secrets` creates all of them",
        ) from error
