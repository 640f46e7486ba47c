"""The operating system's errors in an operator's words: the one place that maps `OSError` to `StoreError`."""

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from mirrorsync.errors import StoreDenied, StoreError, StoreFull, StoreUnreachable

_ROOM: Final = (
    "free space (or inodes) or raise the quota; what is stored stays as it is, and mirrorsync goes on by itself"
)
_RIGHTS: Final = "let the user that runs mirrorsync own the mirror directory and everything below it"
_DISK: Final = "look into the kernel's log (dmesg); the disk or its controller is failing"
_READ_ONLY: Final = "look into the kernel's log (dmesg) for why, repair the file system, and mount it writable again"
_GONE: Final = "is the mirror's disk mounted? If the directory was replaced, start mirrorsync again"
_LINK: Final = "a symbolic link or a file stands where a directory belongs; mirrorsync follows no links: remove it"
_BLOCKED: Final = "a directory stands where a file belongs; remove it if it is not yours"
_DESCRIPTORS: Final = "raise the limit on open files (LimitNOFILE= in the systemd unit, ulimit -n in a shell)"
_SPLIT: Final = "web/ and staging/ must lie in one mount of one file system"

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
    """Return the `StoreError` that says `what` failed, the system's reason, and what an operator can do."""
    kind, hint = _MEANINGS.get(error.errno or 0, (StoreDenied, "look into the kernel's log (dmesg)"))
    why = error.strerror or str(error)
    if error.filename:
        why = f"{why} ({os.fsdecode(error.filename)})"
    told = kind(what, why=why, hint=hint)
    told.__cause__ = error
    return told


@contextmanager
def in_words(what: str) -> Iterator[None]:
    """Turn an `OSError` from the body into the `StoreError` that says `what` failed."""
    try:
        yield
    except OSError as error:
        raise store_error(error, what) from error
