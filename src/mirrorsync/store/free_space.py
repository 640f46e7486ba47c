"""The space that may still be written, less what is reserved for objects in progress."""

import os
import time
from typing import Final

from mirrorsync.errors import LowSpace
from mirrorsync.model.units import format_size
from mirrorsync.store.directories import Directory
from mirrorsync.store.disk import Disk

_FRESH_FOR: Final = 1.0
"""Seconds for which a measurement is valid."""


class SpaceReservation:
    """Space reserved for one object."""

    def __init__(self, space: "FreeSpace", size: int) -> None:
        self._space = space
        self._left = size

    def wrote(self, size: int) -> None:
        """Count `size` bytes of the reservation as written."""
        kept = min(size, self._left)
        self._left -= kept
        self._space.settle(kept, written=size)

    def release(self) -> None:
        """Release what was not written."""
        self._space.settle(self._left, written=0)
        self._left = 0


class FreeSpace:
    """The file system's free space, measured at most once a second."""

    def __init__(self, web: Directory, disk: Disk, *, min_free: int) -> None:
        self.min_free = min_free
        """Bytes."""
        self._web = web
        self._disk = disk
        self._free: int | None = None
        self._measured_at = 0.0
        self._reserved = 0

    async def measure(self) -> int:
        """Return the bytes that an ordinary user can still write. Raises: StoreError."""
        self._measured_at = time.monotonic()  # before the hop, so that concurrent callers do not measure, too
        self._free = await self._disk.run(f"The free space of {self._web.path} cannot be determined", self._statvfs)
        return self._free

    async def refuse_low(self, size: int) -> None:
        """Raise LowSpace when `size` more bytes would leave less than `min_free`.

        Raises: StoreError.
        """
        free = self._free
        if free is None or time.monotonic() - self._measured_at >= _FRESH_FOR:
            free = await self.measure()
        needed = self._reserved + size
        if free - needed < self.min_free:
            raise LowSpace(
                f"{self._web.path} has {format_size(free)} free, and {format_size(needed)} are to be written",
                why=f"{format_size(self.min_free)} must stay free (min-free)",
                hint="free space, enlarge the disk or lower min-free; nothing was lost, index updates and removals "
                "continue, and downloads resume once there is enough space",
            )

    async def reserve(self, size: int) -> SpaceReservation:
        """Reserve `size` bytes. Raises: as `refuse_low`."""
        await self.refuse_low(size)
        return self.reserve_always(size)

    def reserve_always(self, size: int) -> SpaceReservation:
        """Reserve `size` bytes for an object of our own: the index is updated even below `min_free`."""
        self._reserved += size
        return SpaceReservation(self, size)

    def settle(self, reserved: int, *, written: int) -> None:
        """Subtract `reserved` from the reserved bytes, and `written` from the free ones."""
        self._reserved -= reserved
        if self._free is not None:
            self._free -= written

    def _statvfs(self) -> int:
        handle = self._web.hold()
        status = os.fstatvfs(handle.descriptor)
        return status.f_bavail * status.f_frsize
