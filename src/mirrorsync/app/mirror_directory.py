"""The mirror's directory: what is where in it, who may write to it, and the lock that admits one process at a time."""

import fcntl
import os
import pwd
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from mirrorsync.errors import AlreadyRunning, BadConfig, StoreDenied

_TRIES: Final = 5
_PAUSE: Final = 0.01
"""Seconds between two attempts at the lock."""


def web_directory(directory: Path) -> Path:
    """Return the document root."""
    return directory / "web"


def staging_directory(directory: Path) -> Path:
    """Return the directory of partial files, on the file system of the document root."""
    return directory / "staging"


def state_path(directory: Path) -> Path:
    """Return the database's path."""
    return directory / "state" / "mirrorsync.sqlite3"


def lock_path(directory: Path) -> Path:
    """Return the path of the lock file that a run holds until it ends."""
    return directory / "state" / "lock"


def refuse_root(directory: Path) -> None:
    """Raise BadConfig when root runs this process and another user owns `directory`.

    Root would create files that the owner could not replace later.
    """
    if os.geteuid() != 0:
        return
    try:
        owner = directory.stat().st_uid
    except OSError:
        return  # the first use of the directory reports this
    if owner == 0:
        return
    try:
        name = pwd.getpwuid(owner).pw_name
    except KeyError:
        name = f"#{owner}"
    raise BadConfig(
        f"root cannot write to [mirror] directory {directory}, which belongs to {name}",
        why="the daemon could not replace files that root creates",
        hint=f"run the command as the owner: `runuser -u {name} -- mirrorsync …` or `sudo -u {name} mirrorsync …`",
    )


@contextmanager
def hold_lock(directory: Path) -> Iterator[None]:
    """Hold the mirror's lock while the context is open. The kernel releases it when the process dies.

    Raises: AlreadyRunning, with the process that holds it; StoreDenied, when the lock file cannot be opened; BadConfig,
    as `refuse_root`.
    """
    if not directory.is_dir():
        raise StoreDenied(
            f"[mirror] directory {directory} does not exist or is not a directory",
            hint="create it for the user that runs mirrorsync, mount its disk, or correct the path",
        )
    refuse_root(directory)
    descriptor = _open(lock_path(directory), directory)
    try:
        try:
            _lock(descriptor)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            raise AlreadyRunning(
                f"another mirrorsync (process {holder}) is working on {directory}",
                hint="wait until it ends, or stop it; `mirrorsync status` works meanwhile",
            ) from error
        with suppress(OSError):  # a full disk has no room for the process id, which the lock does not need
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def refuse_second(directory: Path) -> None:
    """Raise AlreadyRunning when another mirrorsync holds the lock now; create no files. Raises: as `hold_lock`."""
    if lock_path(directory).exists():
        with hold_lock(directory):
            pass


def _open(path: Path, directory: Path) -> int:
    try:
        path.parent.mkdir(mode=0o755, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    except OSError as error:
        raise StoreDenied(
            f"[mirror] directory {directory} cannot be written: {path}",
            why=error.strerror or str(error),
            hint="make the user that runs mirrorsync its owner, and mount its disk for writing",
        ) from error


def _lock(descriptor: int) -> None:
    """Take the lock, waiting out `status`, which tests it for an instant. Raises: BlockingIOError."""
    for _ in range(_TRIES - 1):
        with suppress(BlockingIOError):
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        time.sleep(_PAUSE)
    return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
