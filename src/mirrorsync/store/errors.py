"""Mapping `OSError` to `StoreError`, with a hint for the operator."""

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from mirrorsync.errors import StoreDenied, StoreError, StoreFull, StoreUnreachable

_ROOM: Final = "free space (or inodes) or raise the quota; stored files are intact, and mirrorsync continues by itself"
_RIGHTS: Final = "make the user that runs mirrorsync the owner of the mirror directory and everything below it"
_DISK: Final = "read the kernel's log (dmesg); the disk or its controller is failing"
_READ_ONLY: Final = "read the kernel's log (dmesg) for the reason, repair the file system, and mount it writable again"
_GONE: Final = "is the mirror's disk mounted? If the directory was replaced, restart mirrorsync"
_LINK: Final = "a symbolic link or a file is in the place of a directory; mirrorsync follows no links: remove it"
_BLOCKED: Final = "a directory is in the place of a file; remove it if it is not yours"
_DESCRIPTORS: Final = "raise the limit on open files (LimitNOFILE= in the systemd unit, ulimit -n in a shell)"
_SPLIT: Final = "web/ and staging/ must be in one mount of one file system"

_MEANINGS: Final[Mapping[int, tuple[type[StoreError], str]]] = {
    errno.ENOSPC: (StoreFull, _ROOM),
    errno.EDQUOT: (StoreFull, _ROOM),
    errno.EACCES: (StoreDenied, _RIGHTS),
    errno.EPERM: (StoreDenied, _RIGHTS),
    errno.EROFS: (StoreDenied, _READ_ONLY),
    errno.EIO: (StoreDenied, _DISK),
    errno.ENOENT: (StoreDenied, _GONE),
    errno.ENOTDIR: (StoreDenied, _LINK),
    errno.ELOOP: (StoreDenied, _LINK),
    errno.EISDIR: (StoreDenied, _BLOCKED),
    errno.EXDEV: (StoreDenied, _SPLIT),
    errno.EMFILE: (StoreUnreachable, _DESCRIPTORS),
    errno.ENFILE: (StoreUnreachable, _DESCRIPTORS),
}


def store_error(error: OSError, what: str) -> StoreError:
    """Return a `StoreError` with what failed, the system's reason, and what an operator can do."""
    kind, hint = _MEANINGS.get(error.errno or 0, (StoreDenied, "read the kernel's log (dmesg)"))
    why = error.strerror or str(error)
    if error.filename:
        why = f"{why} ({os.fsdecode(error.filename)})"
    mapped = kind(what, why=why, hint=hint)
    mapped.__cause__ = error
    return mapped


@contextmanager
def store_errors(what: str) -> Iterator[None]:
    """Turn an `OSError` from the body into a `StoreError` with `what` failed."""
    try:
        yield
    except OSError as error:
        raise store_error(error, what) from error
