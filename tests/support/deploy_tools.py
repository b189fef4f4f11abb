"""What the tests of docker/ need of this machine.

``python -m tests.support.deploy_tools`` looks for it; `make test` runs it first, so that what is missing is told in the
first second and not after ten minutes.
"""

from __future__ import annotations

import shutil
import sys

from include.errors import PlatformError
from tests.support.tls_postgres import binaries

_PACKAGES = {"openssl": "openssl", "promtool": "prometheus"}


def main() -> int:
    """Say what is missing, and fetch what can be fetched; returns the exit status."""
    faults = [
        f"{program} is missing: install it with your package manager (on Debian: apt-get install {package})"
        for program, package in _PACKAGES.items()
        if shutil.which(program) is None
    ]
    try:
        binaries()
    except PlatformError as error:
        faults.append(str(error))
    for fault in faults:
        print(f"error: {fault}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
