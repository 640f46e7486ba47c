"""The daemon's way: polling, bringing up and publishing side by side, until it is told to stop."""

from typing import Final

import trio

from mirrorsync.errors import MirrorsyncError, Recovery, UpstreamError
from mirrorsync.state.runs import Totals
from mirrorsync.sync import feed
from mirrorsync.sync.ingest import ingest
from mirrorsync.sync.parts import Parts
from mirrorsync.sync.passes import log
from mirrorsync.sync.pool import Pool
from mirrorsync.sync.root_index import Pace
from mirrorsync.sync.sweep import sweep
from mirrorsync.sync.traces import leave_traces

_SETTLED_EVERY: Final = 5.0
"""Seconds between two publications of the status, and at least between two of the root index, while there is news."""


class Follower:
    """A mirror that follows its upstream. One slow project holds up neither the next poll nor its neighbours (I7)."""

    def __init__(self, parts: Parts, interval: float) -> None:
        self._parts = parts
        self._interval = interval
        self._pool = Pool(parts)
        self._polls = 0
        self._said = Totals(), 0
        self._said_at = parts.clock()
        self._pace = Pace()
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
        self._pace.hurry()
        await self._publish_news()  # what ended after the stop was asked for, too
        if self._halt is not None:
            raise self._halt

    async def _poll(self) -> None:
        while not self.stopping.is_set():
            wait = self._interval
            try:
                await ingest(self._parts)
                await self._parts.state.step_audit(self._parts.clock(), self._parts.policy.audit_period)
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
        while not self.stopping.is_set():
            await self._sleep(_SETTLED_EVERY)
            await self._publish_news()

    async def _publish_news(self) -> None:
        """Make public what was done or asked since the last time, if anything was; the root index at its own pace."""
        now, polls = self._pool.totals, self._polls
        is_news = (now, polls) != self._said
        if not is_news and not (self._pace.owes and self._pace.is_due):
            return
        try:
            if is_news:
                started_at, self._said_at = self._said_at, self._parts.clock()
                await log(self._parts, started_at, now.minus(self._said[0]))
            await self._pace.publish(self._parts)
            await sweep(self._parts)
            await leave_traces(self._parts, root_is_owed=self._pace.owes)
        except MirrorsyncError as error:
            self._stop_for(error)
        self._said = now, polls

    async def _sleep(self, seconds: float) -> None:
        with trio.move_on_after(seconds):
            await self.stopping.wait()

    def _stop_for(self, error: MirrorsyncError) -> None:
        self._halt = self._halt or error
        self.stopping.set()

    def _tell(self, error: MirrorsyncError) -> None:
        self._parts.audience.notes(f"{error}. {error.hint}" if error.hint else str(error))
