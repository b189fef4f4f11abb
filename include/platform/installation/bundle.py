"""Pack everything a task imports into one file: ``python -m include.platform.installation.bundle FILE.zip``.

The file is for executors on machines that have Java, Spark and the same Python, but nothing of this product. Spark
unpacks it in the working directory of each executor (the key ``bundle`` of the Spark connection). Tasks read and
validate files, so the bundle leaves out everything that needs Airflow, a database or Faker.
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

# Tasks import the source module, and with it psycopg2, which only its driver side uses. No task opens a connection.
_ROOTS = ("numpy", "psycopg2-binary", "pyarrow", "pydantic")
_CODE = ("include", "jobs")
_REQUIRED = re.compile(r"^[A-Za-z0-9._-]+")
_LEFT_OUT = ("tests/", "/tests/", "__pycache__", "pyarrow/include/", "pyarrow/src/")


def distributions(roots: Sequence[str] = _ROOTS) -> dict[str, Distribution]:
    """Return the required packages by name, with their own requirements included."""
    found: dict[str, Distribution] = {}
    waiting = list(roots)
    while waiting:
        name = waiting.pop().lower()
        if name in found:
            continue
        found[name] = distribution(name)
        # A semicolon starts a marker: the requirement holds only for an extra or another platform. Skip it.
        for required in found[name].requires or ():
            match = _REQUIRED.match(required)
            if match and ";" not in required:
                waiting.append(match[0])
    return found


def contents() -> Iterator[tuple[Path, str]]:
    """Yield every file of the bundle with its name there."""
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
    """Write the bundle atomically and return its size in bytes.

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
    parser = argparse.ArgumentParser(prog="python -m include.platform.installation.bundle", description=__doc__)
    parser.add_argument("file", type=Path, help="the .zip file to write, where all machines can read it")
    path = parser.parse_args(argv).file.absolute()
    if path.suffix != ".zip":
        print(f"error: {path.name} does not end in .zip, which Spark needs to unpack it", file=sys.stderr)
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
