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
    """Flush all writes to the file system of `descriptor` to its disk. Blocks.

    Raises: OSError; since 5.8 Linux reports a failed writeback here, once for each open descriptor.
    Without syncfs in the C library all file systems are flushed, and failures are not reported.
    Source: syncfs(2).
    """
    if _SYNCFS is None:
        os.sync()
    elif _SYNCFS(descriptor) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


class GroupSync:
    """Shared flushes: one runs at a time, and the next one serves all callers that arrived meanwhile."""

    def __init__(self, directory: Directory, *, flush_file_system: Callable[[int], None] = flush_file_system) -> None:
        self.flushes = 0
        """Number of flushes begun."""
        self.failures = 0
        """Number of failed flushes. Read it before the first byte is written, and pass it to `flush`."""
        self._unflushed = 1
        """Number of changes left to a later flush; it starts at 1 for those of an earlier process."""
        self._settled = 0
        """The value of `_unflushed` up to which a flush has made them durable."""
        self._directory = directory
        self._flush_file_system = flush_file_system
        self._failure = OSError()
        self._counting = threading.Lock()
        # A thread of its own: behind the limiter of the writers it would wait for callers of the next flush.
        self._thread = BatchedThread(self._flush, lanes=1)

    def mark_unflushed(self) -> None:
        """Record that files were renamed or removed without a flush."""
        with self._counting:
            self._unflushed += 1

    async def settle(self) -> None:
        """Return after a flush that began after the last `mark_unflushed`; at once if one is done.

        Raises: OSError. Cancellation: as for `flush`.
        """
        unflushed = self._unflushed
        if self._settled < unflushed:
            await self.flush()
            self._settled = max(self._settled, unflushed)
        else:
            await trio.lowlevel.checkpoint()

    async def flush(self, *, failures_before: int | None = None) -> None:
        """Return after a flush that began after this call.

        The kernel reports a failed writeback once, and drops the data: a later flush that succeeds proves nothing
        about earlier writes. So this fails if a flush failed since `failures` had the value `failures_before`
        (default: since this call).

        Raises: OSError. Cancellation: takes effect until the flush begins; from then on it is awaited.
        """
        if failures_before is None:
            failures_before = self.failures
        await self._thread.call()
        self._refuse_since(failures_before)

    def flush_here(self, failures_before: int) -> None:
        """As `flush`, in the calling thread. Blocks. Raises: OSError."""
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
