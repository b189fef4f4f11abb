"""Open a delivered file: only a regular one, only up to its size at opening, and unpacked."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from include.errors import PlatformError

_BUFFER_BYTES = 128 * 1024
_CHUNK_BYTES = 1024 * 1024
# These errors are about the one file. Every other error is blamed on the machine or its storage (a mount that is gone,
# a failing disk, too many open files): the file is not at fault, and is tried again.
_FAULTS_OF_THE_FILE = {errno.ENOENT, errno.EACCES, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG}


def is_packed(name: str) -> bool:
    """Return whether a file of this name is gzipped."""
    return name.lower().endswith(".gz")


@dataclass
class FileFaultError(Exception):
    """End the reading of a file with a code of FILE_FAULTS."""

    code: str
    detail: str


class _Snapshot(io.RawIOBase):
    """An open file, cut at the size it had at opening; bytes appended later are not read."""

    def __init__(self, file: io.FileIO, size: int) -> None:
        super().__init__()
        self._file = file
        self._size = size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = max(self._size - self._file.tell(), 0)
        return self._file.readinto(memoryview(buffer)[:left]) or 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close()
        super().close()


class Delivered:
    """An open delivered file, read as its unpacked bytes.

    Parameters
    ----------
    snapshot:
        The bytes of the file as delivered.
    is_gzip:
        Whether those are gzipped.
    size_bytes:
        Their number.
    max_bytes:
        Largest unpacked size that the file may have; None for no limit.
    """

    def __init__(self, snapshot: _Snapshot, *, is_gzip: bool, size_bytes: int, max_bytes: int | None) -> None:
        self.is_gzip = is_gzip
        self.size_bytes = size_bytes
        self._snapshot = snapshot
        self._max_bytes = max_bytes
        packed = io.BufferedReader(snapshot, _BUFFER_BYTES)
        self._source: io.BufferedReader[_Snapshot] | gzip.GzipFile = (
            gzip.GzipFile(fileobj=packed, mode="rb") if is_gzip else packed
        )

    def check_size(self) -> None:
        """Refuse a file whose delivered size is already over the limit; call it before reading."""
        self._check(self.size_bytes)

    def digest(self) -> str:
        """Return the SHA-256 of the file as delivered; call it before reading."""
        found = hashlib.file_digest(self._snapshot, "sha256").hexdigest()
        self._snapshot.seek(0)
        return found

    def read(self, size: int, /) -> bytes:
        """Return the next unpacked bytes, fewer than asked for only at the end."""
        data = self._source.read(size)
        if self.is_gzip:
            self._check(self._source.tell())
        return data

    def seek(self, byte: int) -> None:
        """Continue at an unpacked byte; in a gzipped file everything before it is unpacked again."""
        self._source.seek(byte)

    def verify_rest(self) -> None:
        """Read a gzipped file to its end, which verifies its checksum and size."""
        while self.is_gzip and self.read(_CHUNK_BYTES):
            pass

    def _check(self, size: int) -> None:
        if self._max_bytes is not None and size > self._max_bytes:
            raise FileFaultError("too_large", f"it has {size:,} bytes or more, the limit is {self._max_bytes:,}")


@contextmanager
def open_delivered(path: Path, max_bytes: int | None = None) -> Iterator[Delivered]:
    """Open a delivered file, gzipped when its name ends in ``.gz``.

    Raises
    ------
    FileFaultError
        When something is wrong with the file itself, also while it is being read.
    PlatformError
        When the file cannot be read because of the machine or its storage.
    """
    try:
        _check_kind(path, path.lstat())
        # These flags keep the call from waiting on a pipe or following a link, should the file be replaced by one just
        # now.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        with io.FileIO(handle) as file:
            info = os.fstat(handle)
            _check_kind(path, info)
            snapshot = _Snapshot(file, info.st_size)
            yield Delivered(snapshot, is_gzip=is_packed(path.name), size_bytes=info.st_size, max_bytes=max_bytes)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise FileFaultError("gzip_damaged", str(error)) from error
    except OSError as error:
        if error.errno in _FAULTS_OF_THE_FILE:
            raise FileFaultError("unreadable", str(error)) from error
        raise PlatformError(
            f"{path} cannot be read at the moment: {error}",
            "Check its disk or mount, and the limits of the process; the file is tried again and not quarantined. "
            "If only this file stays unreadable, move it out of its folder",
        ) from error


def _check_kind(path: Path, info: os.stat_result) -> None:
    if not stat.S_ISREG(info.st_mode):
        raise FileFaultError("not_a_regular_file", f"{path.name} is not a regular file")
    if not info.st_mode & 0o444:
        # Root could read it, but its mode says that it should not be read.
        raise FileFaultError("unreadable", f"its mode is {stat.filemode(info.st_mode)}: nobody may read it")
