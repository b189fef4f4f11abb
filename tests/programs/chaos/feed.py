"""Run the generator as a feed with known content, in its own process, and restart it when it ends."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
from pathlib import Path

from include.manifest import SUFFIX, Manifest, read_manifest
from include.settings import REPOSITORY
from tests.programs.chaos.instance import Instance

_FILES_PER_SECOND = 2
_RESTART_SECONDS = 0.5
_SHARES = ("--bad-share", "0.01", "--duplicate-share", "0.01", "--late-share", "0.005")


class Feed:
    """Delivers ``rate`` rows a second until it is stopped.

    A generator that cannot write (a full disk) ends with an error; the next one begins at the time that it is then,
    with a seed of its own. The feed is no part of the instance: nothing that happens to the instance ends it.
    """

    def __init__(self, instance: Instance, *, rate: int, seed: int) -> None:
        self._instance = instance
        self._rate = rate
        self._seeds = itertools.count(seed * 1000)
        self._stopped = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.failed_seeds: set[int] = set()

    @property
    def _manifests(self) -> Path:
        return self._instance.settings.manifest_dir

    def start(self) -> None:
        """Start the feed."""
        self._thread.start()

    def stop(self) -> None:
        """End the feed after the current file."""
        self._stopped.set()
        if self._process is not None:
            self._process.terminate()
        self._thread.join(30)

    def deliver_once(self, folder: Path, *, rows: int) -> Path:
        """Write one file of generated rows into a folder, its manifest beside the others; it ends about now."""
        folder.mkdir(exist_ok=True)
        self._instance.platform.succeed(
            "include.generator",
            *("--no-pace", "--rate", str(rows), "--duration", "1", "--seed", str(next(self._seeds)), *_SHARES),
            *("--landing", str(folder), "--manifests", str(self._manifests)),
        )
        (path,) = folder.glob("*.csv")
        return path

    def manifests(self) -> list[Manifest]:
        """The truth about every file, without those that a failed generator announced and could not write.

        The manifest is written before its file: only the last one of a run that failed can be without one. Such a
        manifest is removed.
        """
        known = {name for (name,) in self._instance.rows("SELECT DISTINCT name FROM shop.files")}
        known |= {entry.name for entry in self._instance.landing.waiting()}
        manifests = []
        for path in sorted(self._manifests.glob(f"*{SUFFIX}")):
            manifest = read_manifest(path)
            if manifest.file not in known and self._is_last_of_failed(manifest):
                path.unlink()
            else:
                manifests.append(manifest)
        return manifests

    def _is_last_of_failed(self, manifest: Manifest) -> bool:
        following = self._manifests / f"{manifest.run}-{manifest.sequence + 1:06d}.csv{SUFFIX}"
        return manifest.seed in self.failed_seeds and not following.exists()

    def _run(self) -> None:
        log = self._instance.settings.log_dir / "chaos-feed.log"
        while not self._stopped.is_set():
            seed = next(self._seeds)
            rows = max(1, self._rate // _FILES_PER_SECOND)
            with log.open("ab") as output:
                self._process = subprocess.Popen(
                    [
                        *(sys.executable, "-m", "include.generator", "--rate", str(self._rate), "--seed", str(seed)),
                        *("--rows-per-file", str(rows), *_SHARES),
                    ],
                    cwd=REPOSITORY,
                    env=self._instance.platform.environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
            if self._process.wait():
                self.failed_seeds.add(seed)
            self._stopped.wait(_RESTART_SECONDS)
