"""Keys and passwords, made at random once and kept in files that only their owner can read."""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from include.settings import Settings

ADMIN = "admin"

_AIRFLOW: dict[str, Callable[[], str]] = {
    "fernet-key": lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
    "api-secret-key": lambda: secrets.token_urlsafe(32),
    # Airflow signs with HS512, for which 64 bytes are recommended.
    "jwt-secret": lambda: secrets.token_urlsafe(64),
}


def airflow_secrets(settings: Settings) -> dict[str, str]:
    """The keys of Airflow by file name below ``secrets_dir``."""
    return {name: keep_secret(settings.secrets_dir / name, make) for name, make in _AIRFLOW.items()}


def admin_password_file(settings: Settings) -> Path:
    """Where the password of the Airflow user ``admin`` is kept."""
    return settings.secrets_dir / "admin-password"


def admin_password(settings: Settings) -> str:
    """The password of the Airflow user ``admin``; change it by writing another into its file before ``make up``."""
    return keep_secret(admin_password_file(settings), lambda: secrets.token_urlsafe(12))


def keep_secret(path: Path, make: Callable[[], str]) -> str:
    """Read a secret, or make it and write its file with mode 0600, whole or not at all."""
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.{os.getpid()}")
        partial.touch(mode=0o600)
        partial.write_text(make() + "\n", encoding="utf-8")
        partial.replace(path)
    return path.read_text(encoding="utf-8").strip()
