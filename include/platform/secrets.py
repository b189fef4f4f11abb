"""Keys and passwords, made at random once and kept in files that only their owner can read."""

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
    """The files of Airflow's keys by their names below ``secrets_dir``."""
    files = {name: settings.secrets_dir / name for name in _AIRFLOW}
    for name, path in files.items():
        keep_secret(path, _AIRFLOW[name])
    return files


def admin_password_file(settings: Settings) -> Path:
    """Where the password of the Airflow user ``admin`` is kept."""
    return settings.secrets_dir / ADMIN_FILE


def admin_password(settings: Settings) -> str:
    """The password of the Airflow user ``admin``; change it by writing another into its file before ``make up``."""
    return keep_secret(admin_password_file(settings), lambda: secrets.token_urlsafe(12))


def keep_secret(path: Path, make: Callable[[], str]) -> str:
    """Read a secret, or make it and write its file with mode 0600, whole or not at all.

    Raises
    ------
    PlatformError
        When it is missing where somebody else is to provide it, or cannot be read.
    """
    try:
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            partial = path.with_name(f"{path.name}.{os.getpid()}")
            partial.touch(mode=0o600)
            partial.write_text(make() + "\n", encoding="utf-8")
            partial.replace(path)
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise PlatformError(
            f"the secret {path} is missing or closed to this process: {error.strerror}",
            "Provide the file, mode 0600, owned by the user of this process; `make docker-secrets` makes all of them",
        ) from error
