"""Damage Spark's checkpoint while the query runs."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.programs.chaos.faults.base import Fault, Scene


def checkpoint_files(root: Path) -> list[Path]:
    """Return the files of all checkpoints, newest first; some may be gone already."""
    found = []
    for path in root.rglob("*"):
        try:
            if path.is_file() and not path.name.startswith(".ballast"):
                found.append((path.stat().st_mtime_ns, path))
        except FileNotFoundError:
            continue
    return [path for _, path in sorted(found, reverse=True)]


def lose(files: list[Path], root: Path) -> None:
    """Remove every checkpoint."""
    for path in root.iterdir():
        shutil.rmtree(path, ignore_errors=True)


def truncate(files: list[Path], root: Path) -> None:
    """Cut the newest files in half."""
    for path in files[:4]:
        with path.open("rb+") as file:
            file.truncate(path.stat().st_size // 2)


def empty(files: list[Path], root: Path) -> None:
    """Empty every file."""
    for path in files:
        with path.open("wb"):
            pass


def _damaging(damage: Callable[[list[Path], Path], None]) -> Callable[[Scene], float]:
    def act(scene: Scene) -> float:
        root = scene.instance.settings.checkpoint_dir
        since = time.time()
        try:
            damage(checkpoint_files(root), root)
        except FileNotFoundError as error:
            scene.note(f"{error.filename} was gone before it could be damaged")
        return since

    return act


def checkpoint_faults() -> Iterator[Fault]:
    """Return the faults: lost, truncated, emptied."""
    yield Fault("lose_checkpoint", "the checkpoint is deleted while it is in use", _damaging(lose))
    yield Fault("truncate_checkpoint", "the newest checkpoint files are cut in half", _damaging(truncate))
    yield Fault("empty_checkpoint", "every checkpoint file is emptied", _damaging(empty))
