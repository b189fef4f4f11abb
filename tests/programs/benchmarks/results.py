"""Read and write the results as JSON: by size (``full``, ``quick``) and benchmark, with place and time."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.programs.benchmarks.figures import Figure, Measured, Reach, Series

Results = dict[str, Any]


def read_results(path: Path) -> Results:
    """Return the content of the file; empty when there is none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def with_measured(results: Results, size: str, benchmark: str, measured: Measured, about: dict[str, Any]) -> Results:
    """Return the results with those of one benchmark replaced."""
    found = {
        "about": about,
        "figures": [_rounded({**asdict(one), "ratios": one.ratios}) for one in measured.figures],
        "series": [_rounded(asdict(one)) for one in measured.series],
    }
    return {**results, size: {**results.get(size, {}), benchmark: found}}


def write_results(path: Path, results: Results) -> None:
    """Write the results, with short lists on one line."""
    path.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def measured_of(found: Results) -> Measured:
    """Return the stored results of one benchmark."""
    figures = []
    for one in found["figures"]:
        known = {name: value for name, value in one.items() if name not in ("ratios", "reach")}
        figures.append(Figure(**known, reach=Reach(**one["reach"]) if one["reach"] else None))
    return Measured(figures, [Series(**one) for one in found["series"]])


def _rounded(value: Any) -> Any:
    """Round to four significant digits, which is more than the measurements support."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(one) for one in value]
    return value
