"""The daemon's way: polling, bringing up and publishing side by side, until it is told to stop."""

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

import trio

from mirrorsync.errors import MirrorsyncError, Recovery, StoreError, UpstreamError
from mirrorsync.runtime.heartbeat import Heartbeat, beat
from mirrorsync.state.runs import Totals
from mirrorsync.sync import work_feed as feed
from mirrorsync.sync.context import SyncContext
from mirrorsync.sync.ingest import ingest
from mirrorsync.sync.notifier import Notifier
from mirrorsync.sync.poll_schedule import PollSchedule
from mirrorsync.sync.poll_schedule_rest import Bell, Rests, time_asleep
from mirrorsync.sync.publish_status import publish_status
from mirrorsync.sync.root_index import Pace
from mirrorsync.sync.single_pass import log, note_halt
from mirrorsync.sync.sweep import sweep
from mirrorsync.sync.worker_pool import WorkerPool

_SETTLED_EVERY: Final = 5.0
"""Seconds between two publications of the status, and at least between two of the root index, while there is news."""
_RENEWED_EVERY: Final = 300.0
"""Seconds after which the status is published although there is no news: what nobody renews looks fresh for ever."""
_ROOM: Final = 2**30
"""Bytes that must have become free before those who found no room are tried ahead of their turn: each attempt costs
upstream a page, and what comes and goes on a disk that others use is no room yet."""


class DaemonLoop:
    """A mirror that follows its upstream. One slow project holds up neither the next poll nor its neighbours (I7).

    Its waits are counted by a clock that nobody sets; `asleep` says how long the machine was suspended so far.
    """

    def __init__(
        self, context: SyncContext, rhythm: PollSchedule, *, asleep: Callable[[], float] = time_asleep
    ) -> None:
        self._context = context
        self._rests = Rests(asleep)
        self._pool = WorkerPool(context)
        self._polls = 0
        self._said = Totals(), 0
        self._said_at = context.clock()
        self._traced_at = -math.inf
        self._pace = Pace()
        self._woken = Bell()
        self._upstream_is_back = Bell()
        self._files_before_outage: float = math.inf
        self._least_free = -math.inf
        self._hands_out: Heartbeat | None = None
        self._workers_wait = False
        self.rhythm = rhythm
        """When upstream is looked at again."""
        self.trouble: MirrorsyncError | None = None
        """Why the last look at upstream failed; None: it did not."""
        self.halt: MirrorsyncError | None = None
        """What only a person can mend."""
        self.stopping = self._rests.stopping
        """No new project is begun, those under way are finished."""

    def stop(self) -> None:
        """Let `run` end once what is under way is done."""
        self._rests.stop()

    def wake(self) -> None:
        """Look at upstream now: somebody knows that it has news. Never sooner than the rhythm allows."""
        self._rests.ring(self._woken)

    async def run(self) -> None:
        """Follow until `stop` is called and what was under way is done.

        Upstream's failures are told and outlasted. Raises: what only a person can mend (disk, permissions,
        another upstream). Cancellation: what is under way is left as it was, to be done again.
        """
        crier = Notifier(self._context)
        async with trio.open_nursery() as telling:
            # What is being told when we stop runs on beside all that is still to be made public.
            telling.start_soon(crier.follow, self.stopping)
            await self._follow()
            self._pace.hurry()
            await self._publish_news()  # what ended after the stop was asked for, too
            if self.halt is not None:
                await note_halt(self._context, self.halt)
                with suppress(MirrorsyncError):  # a disk that is full takes no page either
                    await self._leave_traces()
        await crier.finish()
        if self.halt is not None:
            raise self.halt

    def stuck(self, *, has_work: bool) -> Sequence[str]:
        """Return what has shown no sign of life for too long. `has_work`: some project is due now."""
        if self._hands_out is not None and (self._context.in_flight or self._workers_wait or not has_work):
            self._hands_out.beat()
        return self._context.pulses.stuck()

    async def _follow(self) -> None:
        with self._context.pulses.watching("handing out projects", loops=True) as self._hands_out:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._poll)
                nursery.start_soon(self._publish)
                await self._work()
                self.stop()

    async def _poll(self) -> None:
        with self._context.pulses.bearing("looking for changes", loops=True):
            while not self.stopping.is_set():
                began = trio.current_time()
                await self._look()
                # A push that came while we looked may tell of what we did not see any more.
                await self._rests.rest(self.rhythm, self._woken, since=began)

    async def _look(self) -> None:
        """Ask upstream once, and choose the rhythm of the next time."""
        try:
            await self._context.state.clamp_timestamps(self._context.clock())
            await ingest(self._context)
            await self._context.state.step_audit(self._context.clock(), self._context.policy.audit_period)
        except MirrorsyncError as error:
            if error.recovery is Recovery.HALT:
                self._stop_for(error)
                return
            self._context.audience.troubled("upstream", error)
            self.trouble = error
            self.rhythm = self.rhythm.after_failure(error.retry_after)
            return
        with suppress(StoreError):  # whoever else needs the disk meets it, too, and tells it
            await self._wake_all()
        self._polls += 1
        self._context.audience.recovered("upstream")
        self.trouble = None
        if self.rhythm.failures:
            self._rests.ring(self._upstream_is_back)
        self.rhythm = self.rhythm.after_success()

    async def _wake_all(self) -> None:
        """Let nobody wait for what is there again, upstream or room; at a start both are taken to be.

        Where projects failed although upstream answered it is the file host that was away: until a file comes.
        """
        now = self._context.clock()
        files_come = self._pool.totals.files > self._files_before_outage
        if self.rhythm.failures or not self._polls or files_come:
            await self._context.state.wake("outage", now)
            self._files_before_outage = math.inf
        free = await self._context.store.free_bytes()
        if free is not None:
            if free >= self._least_free + _ROOM:
                await self._context.state.wake("space", now)
                self._least_free = free
            self._least_free = min(self._least_free, free)

    async def _work(self) -> None:
        rhythm = self.rhythm
        while not self.stopping.is_set():
            before = self._pool.totals.projects
            try:
                await self._pool.work_off(feed.for_ever(self._context, self.stopping))
            except UpstreamError as error:
                self._context.audience.troubled("projects", error)
                self._files_before_outage = self._pool.totals.files
                rhythm = rhythm.after_success() if self._pool.totals.projects > before else rhythm
                rhythm = rhythm.after_failure(error.retry_after)
                self._workers_wait = True
                await self._rests.rest(rhythm, self._upstream_is_back, since=trio.current_time())
                self._workers_wait = False
                self._pool = WorkerPool(self._context, self._pool.totals)
            except MirrorsyncError as error:
                self._stop_for(error)

    async def _publish(self) -> None:
        with self._context.pulses.bearing("publishing", loops=True):
            while not self.stopping.is_set():
                beat(asleep_for=_SETTLED_EVERY)
                with trio.move_on_after(_SETTLED_EVERY):
                    await self.stopping.wait()
                beat()
                if self._pool.halt is not None and not isinstance(self._pool.halt, UpstreamError):
                    self._stop_for(self._pool.halt)  # now, for what is under way may take hours
                await self._publish_news()

    async def _publish_news(self) -> None:
        """Make public what was done or asked since the last time, if anything was; the root index at its own pace."""
        now, polls = self._pool.totals, self._polls
        is_news = (now, polls) != self._said
        is_old = trio.current_time() >= self._traced_at + _RENEWED_EVERY
        if not is_news and not is_old and not (self._pace.owes and self._pace.is_due):
            return
        try:
            if is_news:
                started_at, self._said_at = self._said_at, self._context.clock()
                await log(self._context, started_at, now.minus(self._said[0]))
            if is_news or self._pace.owes:
                await self._pace.publish(self._context)
            await sweep(self._context)
            await self._leave_traces()
        except MirrorsyncError as error:
            self._stop_for(error)
        self._said = now, polls

    async def _leave_traces(self) -> None:
        next_run_at = None if self.halt else self._context.clock() + self.rhythm.wait(0.0)
        await publish_status(self._context, root_is_owed=self._pace.owes, next_run_at=next_run_at)
        self._traced_at = trio.current_time()

    def _stop_for(self, error: MirrorsyncError) -> None:
        self.halt = self.halt or error
        self.stop()
