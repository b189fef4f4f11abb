"""Manifests: the true content of each generated file, written beside it for comparison with Postgres (reconcile)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from include.errors import ShopstreamError

SUFFIX = ".json"

Count = Annotated[int, Field(ge=0, strict=True)]


class ManifestError(ShopstreamError):
    """A manifest cannot be read; the message names the file and the fault."""


def _exact(value: Any) -> Any:
    """Refuse a float, which has already lost cents."""
    if isinstance(value, float):
        raise ValueError('must be a text such as "12.90", because a number is not exact')
    return value


Money = Annotated[Decimal, BeforeValidator(_exact)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Manifest:
    """The true content of one file: ``rows = valid + duplicates + bad rows``.

    Parameters
    ----------
    file:
        Its name in the landing folder.
    run, sequence:
        The generator run, and the position of the file in it, from 0. A duplicate repeats a row of the same file or of
        an earlier one.
    seed:
        The seed of the run.
    rows:
        Number of rows after the header.
    valid:
        Number of rows that are accepted when the files of the run are loaded in order.
    by_type:
        The number of valid rows by event type.
    bad:
        The number of rows that break a rule, by the code of the one rule that each breaks.
    duplicates:
        The number of exact repetitions of valid rows.
    late:
        How many valid rows happened more than an hour before the file's window.
    revenue:
        Unit price times quantity of the valid purchases, by currency.
    first_event_time, last_event_time:
        Range of the valid rows; None when there are none.
    """

    file: str
    run: str
    sequence: Count
    seed: Count
    rows: Count
    valid: Count
    duplicates: Count
    late: Count
    by_type: Mapping[str, Count] = field(default_factory=dict)
    bad: Mapping[str, Count] = field(default_factory=dict)
    revenue: Mapping[str, Money] = field(default_factory=dict)
    first_event_time: datetime | None = None
    last_event_time: datetime | None = None

    def __post_init__(self) -> None:
        if self.rows != self.valid + self.duplicates + self.rejected:
            raise ValueError(
                f"rows={self.rows} is not valid + duplicates + bad = {self.valid} + {self.duplicates} + {self.rejected}"
            )
        if self.valid != sum(self.by_type.values()):
            raise ValueError(f"valid={self.valid} is not the sum of by_type, {sum(self.by_type.values())}")
        if self.late > self.valid:
            raise ValueError(f"late={self.late} is more than valid={self.valid}")

    @property
    def rejected(self) -> int:
        """The number of all bad rows."""
        return sum(self.bad.values())


_ADAPTER = TypeAdapter(Manifest)


def manifest_path(directory: Path, file_name: str) -> Path:
    """Return the path of a file's manifest."""
    return directory / f"{file_name}{SUFFIX}"


def to_json(manifest: Manifest) -> bytes:
    """Return the manifest as stored on disk; the same manifest always gives the same bytes."""
    return _ADAPTER.dump_json(manifest, indent=2) + b"\n"


def write_manifest(manifest: Manifest, directory: Path) -> Path:
    """Write the manifest durably, by rename, to ``<directory>/<file name>.json``.

    Raises
    ------
    ManifestError
        When a different manifest of that name exists, because then two runs would deliver different files of the same
        name.
    """
    path = manifest_path(directory, manifest.file)
    content = to_json(manifest)
    if path.exists():
        if path.read_bytes() != content:
            raise ManifestError(
                f"{path} already exists and describes another file", "Choose another seed or start for the run"
            )
        return path
    write_by_rename(path, content)
    return path


def read_manifest(path: Path) -> Manifest:
    """Read one manifest.

    Raises
    ------
    ManifestError
        When it is not JSON, lacks a field, has an unknown one, or does not add up.
    """
    try:
        return _ADAPTER.validate_json(path.read_bytes())
    except ValidationError as error:
        faults = "; ".join(
            ".".join(str(part) for part in one["loc"])
            + (": " if one["loc"] else "")
            + one["msg"].removeprefix("Value error, ")
            for one in error.errors()
        )
        raise ManifestError(f"{path} is not a manifest: {faults}", "Restore it, or remove it with its file") from error


def write_by_rename(path: Path, *parts: Any) -> None:
    """Write a file under a hidden name, flush it to disk, then rename it, so that it is complete once it is visible.

    Parameters
    ----------
    path:
        The final path; the hidden name begins with a dot and is in the same directory.
    parts:
        Bytes-like objects, written one after the other.
    """
    hidden = path.with_name(f".{path.name}.part")
    try:
        with hidden.open("wb") as target:
            for part in parts:
                target.write(part)
            target.flush()
            os.fsync(target.fileno())
        hidden.rename(path)
    except BaseException:
        hidden.unlink(missing_ok=True)
        raise
