"""Opens a delivered file: only a regular one, only as long as it was when it was opened, and unpacked."""

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
# What a network file system says when its server or its mount is gone: no fault of the file.
_STORAGE_IS_AWAY = {errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EHOSTUNREACH}


@dataclass
class FileFaultError(Exception):
    """Ends the reading of a file with a code of FILE_FAULTS."""

    code: str
    detail: str


class _Snapshot(io.RawIOBase):
    """An open file up to the size that it had then: what is appended later is not read, and so can be noticed."""

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
    """A delivered file that is open, read for its bytes as they were before packing.

    Parameters
    ----------
    snapshot:
        Its bytes as they are.
    is_gzip:
        Whether those are packed.
    size_bytes:
        How many they are.
    max_bytes:
        Most bytes that it may have unpacked; None for no limit.
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
        """Refuse a file that is too large even as it is, before anything of it is read."""
        self._check(self.size_bytes)

    def digest(self) -> str:
        """The SHA-256 of the file as it is, before anything of it is read."""
        found = hashlib.file_digest(self._snapshot, "sha256").hexdigest()
        self._snapshot.seek(0)
        return found

    def read(self, size: int, /) -> bytes:
        """The next unpacked bytes, fewer than asked for only at the end."""
        data = self._source.read(size)
        if self.is_gzip:
            self._check(self._source.tell())
        return data

    def seek(self, byte: int) -> None:
        """Go on at an unpacked byte; in a packed file everything before it is unpacked again."""
        self._source.seek(byte)

    def verify_rest(self) -> None:
        """Read a packed file to its end, so that its checksum and its size are known to be right."""
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
        What is wrong with the file; also for errors while it is being read.
    PlatformError
        When the storage is away that the file lies on.
    """
    try:
        _check_kind(path, path.lstat())
        # Neither waits for the other end of a pipe nor follows a link, should the file be replaced by one right now.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        with io.FileIO(handle) as file:
            info = os.fstat(handle)
            _check_kind(path, info)
            snapshot = _Snapshot(file, info.st_size)
            yield Delivered(snapshot, is_gzip=path.name.endswith(".gz"), size_bytes=info.st_size, max_bytes=max_bytes)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise FileFaultError("gzip_damaged", str(error)) from error
    except OSError as error:
        if error.errno in _STORAGE_IS_AWAY:
            raise PlatformError(
                f"the storage of {path} does not answer: {error}", "See its mount; the file is tried again"
            ) from error
        raise FileFaultError("unreadable", str(error)) from error


def _check_kind(path: Path, info: os.stat_result) -> None:
    if not stat.S_ISREG(info.st_mode):
        raise FileFaultError("not_a_regular_file", f"{path.name} is not a regular file")
    if not info.st_mode & 0o444:
        # Root could read it, and yet somebody said that nobody may.
        raise FileFaultError("unreadable", f"its mode is {stat.filemode(info.st_mode)}: nobody may read it")
