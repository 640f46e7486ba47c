"""The daemon's way: polling, bringing up and publishing side by side, until it is told to stop."""

from typing import Final

import trio

from mirrorsync.errors import MirrorsyncError, Recovery, UpstreamError
from mirrorsync.state.runs import Totals
from mirrorsync.sync import feed
from mirrorsync.sync.ingest import ingest
from mirrorsync.sync.parts import Parts
from mirrorsync.sync.passes import conclude
from mirrorsync.sync.pool import Pool

_SETTLED_EVERY: Final = 5.0
"""Seconds between two publications of the root index and the status while there is something new to say."""


class Follower:
    """A mirror that follows its upstream. One slow project holds up neither the next poll nor its neighbours (I7)."""

    def __init__(self, parts: Parts, interval: float) -> None:
        self._parts = parts
        self._interval = interval
        self._pool = Pool(parts)
        self._polls = 0
        self._halt: MirrorsyncError | None = None
        self.stopping = trio.Event()
        """Set it to stop: no new project is begun, those under way are finished."""

    async def run(self) -> None:
        """Follow until `stopping` is set and what was under way is done.

        Upstream's failures are told and outlasted. Raises: what only a person can mend (disk, permissions,
        another upstream). Cancellation: what is under way is left as it was, to be done again.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._poll)
            nursery.start_soon(self._publish)
            await self._work()
            self.stopping.set()
        if self._halt is not None:
            raise self._halt

    async def _poll(self) -> None:
        while not self.stopping.is_set():
            wait = self._interval
            try:
                await ingest(self._parts)
                self._polls += 1
            except MirrorsyncError as error:
                if error.recovery is Recovery.HALT:
                    self._stop_for(error)
                    return
                self._tell(error)
                wait = max(wait, error.retry_after or 0.0)
            await self._sleep(wait)

    async def _work(self) -> None:
        while not self.stopping.is_set():
            try:
                await self._pool.work_off(feed.for_ever(self._parts, self.stopping))
            except UpstreamError as error:
                self._tell(error)
                await self._sleep(self._interval)
                self._pool = Pool(self._parts, self._pool.totals)
            except MirrorsyncError as error:
                self._stop_for(error)

    async def _publish(self) -> None:
        """Publish a few seconds after something was done or asked, and once at the end."""
        said, polls, started_at = Totals(), 0, self._parts.clock()
        stopped = False
        while not stopped:
            await self._sleep(_SETTLED_EVERY)
            stopped = self.stopping.is_set()
            now = self._pool.totals
            if (now, self._polls) == (said, polls):
                continue
            try:
                await conclude(self._parts, started_at, now.minus(said))
            except MirrorsyncError as error:
                self._stop_for(error)
                return
            said, polls, started_at = now, self._polls, self._parts.clock()

    async def _sleep(self, seconds: float) -> None:
        with trio.move_on_after(seconds):
            await self.stopping.wait()

    def _stop_for(self, error: MirrorsyncError) -> None:
        self._halt = self._halt or error
        self.stopping.set()

    def _tell(self, error: MirrorsyncError) -> None:
        self._parts.audience.notes(f"{error}. {error.hint}" if error.hint else str(error))
