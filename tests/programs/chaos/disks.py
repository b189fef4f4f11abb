"""Small disks of an instance's own, to be filled to the last byte: ext4 in sparse image files."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

from tests.programs.chaos.waiting import NotTriedHereError

_GIB = 1024**3
_BALLAST = ".ballast"
# Filled in steps: what is left is less than a file system's block in the end.
_STEPS = (64 * 1024**2, 1024**2, 4096)


class Disk:
    """A file system that is mounted at ``path``.

    Parameters
    ----------
    path:
        An empty directory; made when missing.
    image:
        The file that holds it: sparse, so that it takes only the room that is used.
    size_gib:
        Its size.
    """

    def __init__(self, path: Path, image: Path, size_gib: float) -> None:
        self.path = path
        self._image = image
        self._size_bytes = round(size_gib * _GIB)

    def mount(self) -> None:
        """Make and mount it.

        Raises
        ------
        NotTriedHereError
            When this machine does not allow it: it takes root and a loop device.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with self._image.open("wb") as file:
            file.truncate(self._size_bytes)
        _run("mkfs.ext4", "-q", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1", str(self._image))
        _run("mount", "-o", "loop", str(self._image), str(self.path))
        (self.path / "lost+found").rmdir()

    def unmount(self) -> None:
        """Unmount it and delete the image; harmless when it is not mounted."""
        if self.path.is_mount():
            _run("umount", "--lazy", str(self.path))
        self._image.unlink(missing_ok=True)

    def fill(self, *, leave_bytes: int = 0) -> None:
        """Take all room but ``leave_bytes``."""
        with (self.path / _BALLAST).open("ab") as ballast:
            for step in _STEPS:
                while self.free_bytes() - leave_bytes >= step:
                    size = os.fstat(ballast.fileno()).st_size
                    try:
                        os.posix_fallocate(ballast.fileno(), size, step)
                    except OSError as error:
                        if error.errno != errno.ENOSPC:
                            raise
                        break

    def release(self) -> None:
        """Give the room back."""
        with suppress(FileNotFoundError):
            (self.path / _BALLAST).unlink()

    def free_bytes(self) -> int:
        """Room that is left."""
        return shutil.disk_usage(self.path).free


def _run(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        raise NotTriedHereError(f"{command[0]} cannot be run: {error}") from error
    if done.returncode:
        raise NotTriedHereError(f"{' '.join(command)}: {done.stderr.strip()}")
