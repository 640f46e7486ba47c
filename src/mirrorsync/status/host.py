"""The host's facts: which process works on the mirror, and how much room its disks have."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

NO_LIMIT: Final = 1 << 62
"""Free inodes of a file system that does not limit them."""


class DiskSpace(msgspec.Struct, frozen=True):
    """A file system as an ordinary user sees it: without the blocks that are reserved for root."""

    path: str
    free: int
    """Bytes."""
    total: int
    """Bytes."""
    inodes_free: int
    """`NO_LIMIT` where the file system has no such limit."""
    used: int = 0
    """Bytes that are taken, by anything."""


class Host(msgspec.Struct, frozen=True):
    """Facts about the host."""

    at_work: bool | None = None
    """A daemon or a sync holds the lock; None: unknown, because the lock is not readable."""
    process: str = ""
    """Its process id; empty: none, or unknown."""
    disks: tuple[DiskSpace, ...] = ()
    """The disk of the served tree first, then that of the state where it is another one."""


def inspect_host(directory: Path) -> Host:
    """Return the facts for the mirror in `directory`; what this user may not see is left out."""
    at_work, process = _at_work(directory / "state" / "lock")
    return Host(at_work=at_work, process=process, disks=tuple(_disks(directory)))


def _at_work(lock: Path) -> tuple[bool | None, str]:
    """Take the lock shared for an instant; a process that starts waits that long (app/mirror_directory.py)."""
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


def _disks(directory: Path) -> Iterator[DiskSpace]:
    seen = set()
    for places in ((directory / "web", directory), (directory / "state",)):
        for place in places:
            try:
                device, room = place.stat().st_dev, os.statvfs(place)
            except OSError:
                continue
            if device not in seen:
                seen.add(device)
                yield DiskSpace(
                    path=str(place),
                    free=room.f_bavail * room.f_frsize,
                    total=room.f_blocks * room.f_frsize,
                    inodes_free=room.f_favail if room.f_files else NO_LIMIT,
                    used=(room.f_blocks - room.f_bfree) * room.f_frsize,
                )
            break
