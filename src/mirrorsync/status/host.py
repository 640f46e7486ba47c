"""What is true around the state: who is at work on the mirror, and how much room its disks have."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

_NO_LIMIT: Final = 1 << 62
"""Inodes of a file system that does not count them."""


class Disk(msgspec.Struct, frozen=True):
    """A file system, as an ordinary user finds it."""

    path: str
    free: int
    """Bytes."""
    total: int
    """Bytes."""
    inodes_free: int
    """Very many where the file system has no such limit."""


class Host(msgspec.Struct, frozen=True):
    """What is true around the state."""

    at_work: bool | None = None
    """Whether a daemon or a sync holds the lock; None: it cannot be told."""
    process: str = ""
    """Whose number stands in the lock; empty: nobody's."""
    disks: tuple[Disk, ...] = ()
    """The disk of the served tree first, then that of the state if it is another."""


def inspect_host(directory: Path) -> Host:
    """Return what is true around the mirror in `directory` now; what cannot be seen is left out."""
    at_work, process = _at_work(directory / "state" / "lock")
    return Host(at_work=at_work, process=process, disks=tuple(_disks(directory)))


def _at_work(lock: Path) -> tuple[bool | None, str]:
    """Try the lock shared, for an instant: who wants it for work waits that long (app/mirror_directory.py)."""
    try:
        descriptor = os.open(lock, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False, ""
    except OSError:
        return None, ""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
        return True, holder if holder.isdecimal() else ""
    except OSError:
        return None, ""
    else:
        return False, ""
    finally:
        os.close(descriptor)


def _disks(directory: Path) -> Iterator[Disk]:
    seen = set()
    for places in ((directory / "web", directory), (directory / "state",)):
        for place in places:
            try:
                device, room = place.stat().st_dev, os.statvfs(place)
            except OSError:
                continue
            if device not in seen:
                seen.add(device)
                yield Disk(
                    path=str(place),
                    free=room.f_bavail * room.f_frsize,
                    total=room.f_blocks * room.f_frsize,
                    inodes_free=room.f_favail if room.f_files else _NO_LIMIT,
                )
            break
