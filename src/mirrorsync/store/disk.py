"""Blocking disk work in threads."""

import functools
import itertools
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Final, TypeVar, TypeVarTuple

import trio

from mirrorsync.runtime.batched_threads import BatchedThread
from mirrorsync.store.errors import store_errors

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

SHORT: Final = 1 << 16
"""Bytes that can be hashed and written in less than a millisecond."""
_LANES: Final = 2
"""Threads for short work."""


class Disk:
    """The threads for disk work: those of a limiter, and two for short work."""

    def __init__(self, threads: trio.CapacityLimiter) -> None:
        self._threads = threads
        self._short = BatchedThread(lanes=_LANES)

    async def run(self, what: str, work: Callable[[*Ts], T], *args: *Ts) -> T:
        """Return `work(*args)`, called in a thread; `what` describes its failure.

        Cancellation: takes effect until the thread starts. The thread is never abandoned.
        Raises: StoreError for an OSError; other exceptions unchanged.
        """
        with store_errors(what):
            return await trio.to_thread.run_sync(work, *args, limiter=self._threads)

    async def run_short(self, what: str, work: Callable[[*Ts], T], *args: *Ts) -> T:
        """As `run`, for work of less than a millisecond: simultaneous calls share a thread hop."""
        with store_errors(what):
            result: T = await self._short.call(functools.partial(work, *args))
            return result


class OffLoop(AsyncIterator[T]):
    """An asynchronous view of a blocking iterator: one item in the first thread hop, then doubling, up to `per_hop`.

    A class and no async generator, so that a caller can stop early: dropping it closes `items`.
    Cancellation: takes effect at each hop.
    """

    def __init__(self, disk: Disk, what: str, items: Iterator[T], *, per_hop: int) -> None:
        self._disk = disk
        self._what = what
        self._items = items
        self._per_hop = per_hop
        self._next_hop = 1  # enough for a caller that only asks whether there is any item
        self._ready: deque[T] = deque()

    def __aiter__(self) -> "OffLoop[T]":
        return self

    async def __anext__(self) -> T:
        if not self._ready:
            self._ready.extend(await self._disk.run(self._what, self._take))
        if not self._ready:
            raise StopAsyncIteration
        return self._ready.popleft()

    def _take(self) -> list[T]:
        count, self._next_hop = self._next_hop, min(2 * self._next_hop, self._per_hop)
        return list(itertools.islice(self._items, count))
