"""Packs what a task imports into one file: ``python -m include.platform.bundle FILE.zip``.

For executors on machines that have Java, Spark and the same Python, and nothing of this product: Spark unpacks the file
in the working directory of each (the key ``bundle`` of the Spark connection). Tasks read and judge files; all that
needs Airflow, a database or Faker is left out.
"""

from __future__ import annotations

import argparse
import re
import sys
import zipfile
from collections.abc import Iterator, Sequence
from importlib.metadata import Distribution, distribution
from pathlib import Path

from include.errors import PlatformError
from include.settings import REPOSITORY

# psycopg2 is imported with the source, whose other half runs in the driver; no task opens a connection.
_ROOTS = ("numpy", "psycopg2-binary", "pyarrow", "pydantic")
_CODE = ("include", "jobs")
_REQUIRED = re.compile(r"^[A-Za-z0-9._-]+")
_LEFT_OUT = ("tests/", "/tests/", "__pycache__", "pyarrow/include/", "pyarrow/src/")


def distributions(roots: Sequence[str] = _ROOTS) -> dict[str, Distribution]:
    """The packages that are needed, with all that they require themselves, by name."""
    found: dict[str, Distribution] = {}
    waiting = list(roots)
    while waiting:
        name = waiting.pop().lower()
        if name in found:
            continue
        found[name] = distribution(name)
        # What a package requires only for an extra, or on another platform, has a marker after a semicolon.
        for required in found[name].requires or ():
            match = _REQUIRED.match(required)
            if match and ";" not in required:
                waiting.append(match[0])
    return found


def contents() -> Iterator[tuple[Path, str]]:
    """Every file of the bundle, and its name there."""
    for folder in _CODE:
        for path in sorted((REPOSITORY / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path, str(path.relative_to(REPOSITORY))
    for package in distributions().values():
        for file in package.files or ():
            name = str(file)
            if not name.startswith("..") and not any(part in name for part in _LEFT_OUT):
                yield Path(str(package.locate_file(file))), name


def write_bundle(path: Path) -> int:
    """Write the bundle, whole or not at all; returns its size, bytes.

    Raises
    ------
    PlatformError
        When it cannot be written.
    """
    draft = path.with_suffix(".draft")
    try:
        with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as bundle:
            for source, name in contents():
                bundle.write(source, name)
        draft.replace(path)
    except OSError as error:
        raise PlatformError(f"the bundle cannot be written to {path}: {error}", "Name another file") from error
    return path.stat().st_size


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m include.platform.bundle", description=__doc__)
    parser.add_argument("file", type=Path, help="what to write, a .zip that all machines can read")
    path = parser.parse_args(argv).file.absolute()
    if path.suffix != ".zip":
        print(f"error: {path.name} does not end in .zip, by which Spark knows how to unpack it", file=sys.stderr)
        return 2
    try:
        size = write_bundle(path)
    except PlatformError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    print(f"{path}: {size / 2**20:.0f} MiB, for executors with Python {version}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
