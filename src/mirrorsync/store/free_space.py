"""How much may still be written, counting what has been promised to objects on their way in."""

import os
import time
from typing import Final

from mirrorsync.errors import LowSpace
from mirrorsync.model.units import format_size
from mirrorsync.store.directories import Directory
from mirrorsync.store.disk import Disk

_FRESH_FOR: Final = 1.0
"""Seconds that a measurement serves."""


class SpaceReservation:
    """Room promised to one object."""

    def __init__(self, space: "FreeSpace", size: int) -> None:
        self._space = space
        self._left = size

    def wrote(self, size: int) -> None:
        """Turn `size` bytes of the promise into bytes on the disk."""
        kept = min(size, self._left)
        self._left -= kept
        self._space.moved(kept, written=size)

    def release(self) -> None:
        """Give back what was not written."""
        self._space.moved(self._left, written=0)
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
        self._promised = 0

    async def measure(self) -> int:
        """Return the bytes that an ordinary user can still write. Raises: StoreError."""
        self._measured_at = time.monotonic()  # before the hop, so that those who come meanwhile do not measure too
        self._free = await self._disk.run(f"The free space of {self._web.path} cannot be told", self._statvfs)
        return self._free

    async def expect(self, size: int) -> None:
        """Return if `size` bytes could be promised.

        Raises: LowSpace, when less than `min_free` would be left; StoreError.
        """
        free = self._free
        if free is None or time.monotonic() - self._measured_at >= _FRESH_FOR:
            free = await self.measure()
        coming = self._promised + size
        if free - coming < self.min_free:
            raise LowSpace(
                f"{self._web.path} has {format_size(free)} free, and {format_size(coming)} are on their way in",
                why=f"{format_size(self.min_free)} must stay free (min-free)",
                hint="free space, enlarge the disk or lower min-free; nothing was lost, index updates and removals "
                "go on, and downloads do as soon as there is room",
            )

    async def promise(self, size: int) -> SpaceReservation:
        """Promise `size` bytes. Raises: as `expect`."""
        await self.expect(size)
        return self.promise_anyway(size)

    def promise_anyway(self, size: int) -> SpaceReservation:
        """Promise `size` bytes of what we make ourselves: the index goes on below `min_free`."""
        self._promised += size
        return SpaceReservation(self, size)

    def moved(self, promised: int, *, written: int) -> None:
        """Take `promised` bytes from what is promised and `written` from what is free."""
        self._promised -= promised
        if self._free is not None:
            self._free -= written

    def _statvfs(self) -> int:
        handle = self._web.hold()
        status = os.fstatvfs(handle.descriptor)
        return status.f_bavail * status.f_frsize
