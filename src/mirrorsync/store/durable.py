"""Group commit: one flush of the file system makes many objects durable."""

import ctypes
import os
import threading
from collections.abc import Callable, Sequence
from typing import Final

import trio

from mirrorsync.runtime.batched_threads import BatchedThread, Call
from mirrorsync.store.directories import Directory

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_SYNCFS: Final = getattr(_LIBC, "syncfs", None)


def flush_file_system(descriptor: int) -> None:
    """Return when all that was written to the file system of `descriptor` is on its disk. Blocks.

    Raises: OSError; Linux tells of failed writeback here since 5.8, once for each open descriptor.
    Where the C library has no syncfs, every file system is flushed, and none tells of failures.
    Source: syncfs(2).
    """
    if _SYNCFS is None:
        os.sync()
    elif _SYNCFS(descriptor) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


class GroupSync:
    """Flushes shared by all who wait: one runs at a time, and the next one serves everybody that came meanwhile."""

    def __init__(self, directory: Directory, *, flush_file_system: Callable[[int], None] = flush_file_system) -> None:
        self.flushes = 0
        """Flushes begun, from 0."""
        self.failures = 0
        """Flushes that failed, from 0. Take it before the first byte is written, and hand it to `flush`."""
        self._loosened = 1
        """Times that names were left to a later flush; 1 for what an earlier process may have left so."""
        self._settled = 0
        """The value of `_loosened` up to which a flush has made them durable."""
        self._directory = directory
        self._flush_file_system = flush_file_system
        self._failure = OSError()
        self._counting = threading.Lock()
        # One flush for all calls, in a thread of its own: behind the writers' limiter it would wait for those who
        # are to share the next.
        self._together = BatchedThread(self._flush, lanes=1)

    def loosen(self) -> None:
        """Say that names were given or taken that no flush has made durable."""
        with self._counting:
            self._loosened += 1

    async def settle(self) -> None:
        """Return after a flush that began after the last `loosen`; at once where there was one already.

        Raises: OSError. Cancellation: as for `flush`.
        """
        loosened = self._loosened
        if self._settled < loosened:
            await self.flush()
            self._settled = max(self._settled, loosened)
        else:
            await trio.lowlevel.checkpoint()

    async def flush(self, *, failures_before: int | None = None) -> None:
        """Return after a flush that began after this call.

        The kernel tells of a failed writeback once, and forgets the data: whoever wrote before that must not
        trust a later flush that succeeds. So this fails if any flush failed since `failures` had the value
        `failures_before` (left out: since this call).

        Raises: OSError. Cancellation: heeded until the flush begins, which is waited for then.
        """
        if failures_before is None:
            failures_before = self.failures
        await self._together.call()
        self._refuse_since(failures_before)

    def flush_here(self, failures_before: int) -> None:
        """As `flush`, in the thread that calls. Blocks. Raises: OSError."""
        self._flush(())
        self._refuse_since(failures_before)

    def _refuse_since(self, failures_before: int) -> None:
        if self.failures > failures_before:
            raise OSError(self._failure.errno, self._failure.strerror) from self._failure

    def _flush(self, _served: Sequence[Call]) -> None:
        with self._counting:
            self.flushes += 1
        try:
            handle = self._directory.hold()
            self._flush_file_system(handle.descriptor)
        except OSError as error:
            with self._counting:
                self._failure = error
                self.failures += 1
