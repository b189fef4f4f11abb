"""Fetch what the tests of docker/ need in addition to ``tests/prerequisites.py``: a PostgreSQL with TLS.

``make test`` runs ``python -m tests.support.deploy_tools`` first, so that a failure is reported before the tests begin.
"""

from __future__ import annotations

import sys

from include.errors import PlatformError
from tests.support.tls_postgres import binaries


def main() -> int:
    """Fetch it if it is missing, and return the exit status."""
    try:
        binaries()
    except PlatformError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
