"""Keep other users of the machine out of Spark, by secrets and by the files from which Spark's processes read them.

A port on loopback is open to every user of the machine, and a web page in a browser can send requests to it. A user who
can submit a driver runs code as the user of the platform. Therefore the REST server accepts signed requests only, the
RPC servers authenticate, and the web pages have no buttons that end something.

``make up`` creates the files. Without them Spark runs unsecured, as in the containers, whose private network is the
boundary.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from pathlib import Path

from include.platform.instance.secrets import keep_secret, write_private
from include.settings import Settings

_FILTER = "org.apache.spark.ui.JWSFilter"
_TOKEN_SECONDS = 60
# Make the web pages read-only: nothing on them ends a driver, an application or a worker.
_NO_BUTTONS = {"spark.ui.killEnabled": "false", "spark.master.ui.decommission.allow.mode": "DENY"}


def secure_spark(settings: Settings) -> None:
    """Create missing secrets and rewrite the property files."""
    rest_key = keep_secret(_rest_key_file(settings), lambda: _base64url(secrets.token_bytes(32)))
    rpc_secret = keep_secret(settings.secrets_dir / "spark-rpc", lambda: secrets.token_urlsafe(32))
    rpc = {
        "spark.authenticate": "true",
        "spark.authenticate.secret": rpc_secret,
        # Use AES authentication and encrypted connections, instead of SASL with MD5.
        "spark.network.crypto.enabled": "true",
        **_NO_BUTTONS,
    }
    rest = {"spark.master.rest.filters": _FILTER, f"spark.{_FILTER}.param.secretKey": rest_key}
    _write(settings.secrets_dir / "spark.properties", rpc)
    _write(settings.secrets_dir / "spark-master.properties", {**rpc, **rest})


def rpc_properties(settings: Settings) -> Path | None:
    """Return the property file for processes that talk to the master by RPC; None without authentication."""
    return _if_there(settings.secrets_dir / "spark.properties")


def master_properties(settings: Settings) -> Path | None:
    """Return the property file of the master, which also holds its REST server's key; None without authentication."""
    return _if_there(settings.secrets_dir / "spark-master.properties")


def rest_headers(settings: Settings) -> dict[str, str]:
    """Return the headers of a request to the master's REST server, with a token that is valid for a minute."""
    file = _rest_key_file(settings)
    if master_properties(settings) is None:
        return {}
    key = file.read_text(encoding="utf-8").strip()
    return {"Authorization": f"Bearer {signed_token(key, expires_at=time.time() + _TOKEN_SECONDS)}"}


def signed_token(key: str, *, expires_at: float) -> str:
    """Return a JSON web token, signed with HMAC-SHA256.

    Parameters
    ----------
    key:
        The key in base64url, at least 256 bits.
    expires_at:
        Expiry in seconds since 1970.
    """
    parts = ({"alg": "HS256", "typ": "JWT"}, {"sub": "shopstream", "exp": int(expires_at)})
    signed = ".".join(_base64url(json.dumps(part).encode()) for part in parts)
    secret = base64.urlsafe_b64decode(key + "=" * (-len(key) % 4))
    return f"{signed}.{_base64url(hmac.digest(secret, signed.encode(), hashlib.sha256))}"


def _rest_key_file(settings: Settings) -> Path:
    return settings.secrets_dir / "spark-rest-key"


def _if_there(path: Path) -> Path | None:
    return path if path.exists() else None


def _write(path: Path, properties: dict[str, str]) -> None:
    write_private(path, "".join(f"{name} {value}\n" for name, value in properties.items()))


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
