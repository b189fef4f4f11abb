"""Rename without ever replacing an existing file."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_libc = ctypes.CDLL(None, use_errno=True)
# Errors of a kernel, a C library or a file system (NFS) that does not support such a rename.
_UNSUPPORTED = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}


def rename_new(source: Path, target: Path) -> None:
    """Rename a file or a folder; if the target exists, leave both as they are.

    Where the file system does not support this, check for the target first. That is enough here, because each target
    folder has only one writer.

    Raises
    ------
    FileExistsError
        When the target exists.
    OSError
        When the file system refuses the rename otherwise.
    """
    if _renameat2(source, target):
        return
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(source), None, str(target))
    source.rename(target)


def _renameat2(source: Path, target: Path) -> bool:
    """Rename by renameat2(2); return False when it is not available here."""
    call = getattr(_libc, "renameat2", None)
    if call is None:
        return False
    if call(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), _RENAME_NOREPLACE) == 0:
        return True
    code = ctypes.get_errno()
    if code in _UNSUPPORTED:
        return False
    raise OSError(code, os.strerror(code), str(source), None, str(target))
