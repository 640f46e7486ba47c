"""Opening objects of the tree. Everything here blocks: it runs in a thread, one hop for all it does."""

import os
import stat
from io import FileIO
from pathlib import Path

import msgspec

from mirrorsync.model.identity import StorePath
from mirrorsync.web.serial import excerpts, find_serial


class Opened(msgspec.Struct, frozen=True):
    """A regular file of the tree, open for reading; whoever gets it closes `handle`."""

    handle: FileIO
    size: int
    """Bytes."""
    modified_ns: int
    """Nanoseconds since the epoch."""
    serial: int | None
    """The serial that the page itself carries; None where it tells none, and for everything that is no page."""


def open_object(web: Path, path: StorePath) -> Opened | None:
    """Open the object at `path` below `web`; None when there is none.

    A directory, a device, and whatever a symbolic link leads to outside `web` are none.
    """
    root = os.path.realpath(web)
    real = os.path.realpath(os.path.join(root, path))  # noqa: PTH118 - Path would fold a name's own characters
    if not real.startswith(root + os.sep):
        return None
    try:
        # Not blocking: opening a pipe that somebody left in the tree would wait for ever.
        descriptor = os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        return None
    handle = FileIO(descriptor, "rb")
    serial = _serial(Path(real), path) if path.startswith("simple/") else None
    return Opened(handle=handle, size=status.st_size, modified_ns=status.st_mtime_ns, serial=serial)


def is_object(web: Path, path: StorePath) -> bool:
    """Tell whether `open_object` would find one."""
    opened = open_object(web, path)
    if opened is None:
        return False
    opened.handle.close()
    return True


def read_part(handle: FileIO, offset: int, length: int) -> bytes:
    """Return `length` bytes from `offset`, fewer where the file ends."""
    return os.pread(handle.fileno(), length, offset)


def _serial(page: Path, path: StorePath) -> int | None:
    for excerpt in excerpts(path):
        try:
            with page.with_name(excerpt.sibling).open("rb", buffering=0) as handle:
                size = os.fstat(handle.fileno()).st_size
                offset = max(0, size + excerpt.offset) if excerpt.offset < 0 else excerpt.offset
                serial = find_serial(excerpt, os.pread(handle.fileno(), excerpt.length, offset))
        except OSError:
            continue
        if serial is not None:
            return serial
    return None
