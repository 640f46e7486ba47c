"""Blocking disk work off the event loop."""

import functools
import itertools
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Final, TypeVar, TypeVarTuple

import trio

from mirrorsync.runtime.batched_threads import BatchedThread
from mirrorsync.store.errors import in_words

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

SHORT: Final = 1 << 16
"""Bytes that can be hashed and written in short work."""
_LANES: Final = 2
"""Threads for short work."""


class Disk:
    """The threads that disk work may occupy: those of a limiter, and two for short work."""

    def __init__(self, threads: trio.CapacityLimiter) -> None:
        self._threads = threads
        self._short = BatchedThread(lanes=_LANES)

    async def run(self, what: str, work: Callable[[*Ts], T], *args: *Ts) -> T:
        """Return `work(*args)`, called in a thread; `what` is how its failure is told.

        Cancellation is heeded before the thread starts and never abandons it: when this returns or raises,
        nothing goes on behind the caller's back.
        Raises: StoreError for an OSError; anything else as it is.
        """
        with in_words(what):
            return await trio.to_thread.run_sync(work, *args, limiter=self._threads)

    async def run_short(self, what: str, work: Callable[[*Ts], T], *args: *Ts) -> T:
        """As `run`, for work of well under a millisecond: what comes at the same time shares a thread."""
        with in_words(what):
            result: T = await self._short.call(functools.partial(work, *args))
            return result


class OffLoop(AsyncIterator[T]):
    """A blocking iterator as an asynchronous one: one item, then twice as many a thread hop, up to `per_hop`.

    A class rather than an async generator, so that a caller may stop half-way: dropping it closes `items`.
    Cancellation: heeded at each hop.
    """

    def __init__(self, disk: Disk, what: str, items: Iterator[T], *, per_hop: int) -> None:
        self._disk = disk
        self._what = what
        self._items = items
        self._per_hop = per_hop
        self._next_hop = 1  # who asks whether there is anything at all needs no more
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
