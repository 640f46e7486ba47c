"""One mirrorsync a mirror: a lock that dies with its process."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from mirrorsync.app.ownership import refuse_root
from mirrorsync.errors import AlreadyRunning, StoreDenied

_TRIES: Final = 5
_PAUSE: Final = 0.01
"""Seconds between two tries."""


@contextmanager
def hold(path: Path) -> Iterator[None]:
    """Hold the lock for the context's life. The kernel frees it when the process dies, however it dies.

    Raises: AlreadyRunning, naming the holder's process; StoreDenied when the file cannot be opened; BadConfig for root
    in somebody else's mirror.
    """
    directory = path.parent.parent
    if not directory.is_dir():
        raise StoreDenied(
            f"[mirror] directory {directory} is not there, or is no directory",
            hint="make it for the user that runs mirrorsync, or mount its disk, or correct the path",
        )
    refuse_root(directory)
    try:
        path.parent.mkdir(mode=0o755, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    except OSError as error:
        raise StoreDenied(
            f"[mirror] directory {directory} cannot be written: {path}",
            why=error.strerror or str(error),
            hint="it must belong to the user that runs mirrorsync, on a disk that is mounted for writing",
        ) from error
    try:
        try:
            _lock(descriptor)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            raise AlreadyRunning(
                f"another mirrorsync (process {holder}) is at work on {directory}",
                hint="wait for it, or stop it; `mirrorsync status` works meanwhile",
            ) from error
        with suppress(OSError):  # a full disk has no room for our number; the lock needs none
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def refuse_second(path: Path) -> None:
    """Return unless another mirrorsync holds the lock now; nothing is made for that. Raises: as `hold`."""
    if path.exists():
        with hold(path):
            pass


def _lock(descriptor: int) -> None:
    """Take the lock; `status`, which tries it for an instant, is waited for. Raises: BlockingIOError."""
    for _ in range(_TRIES - 1):
        with suppress(BlockingIOError):
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        time.sleep(_PAUSE)
    return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
