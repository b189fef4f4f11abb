"""Locate the installed wheels that carry programs: PostgreSQL, Java and Spark's jars."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from include.errors import PlatformError


def package_directory(name: str) -> Path:
    """Return the directory of an installed package without importing it, because some have side effects at import.

    Raises
    ------
    PlatformError
        When the package is not installed in this environment.
    """
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise PlatformError(f"the Python package {name} is not installed here", "Run `make up`, which installs it")
    return Path(spec.submodule_search_locations[0])
