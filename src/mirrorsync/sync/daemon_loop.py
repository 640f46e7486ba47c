"""The daemon: polling, syncing and publishing run side by side until it is stopped."""

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

import trio

from mirrorsync.errors import MirrorsyncError, Recovery, StoreError, UpstreamError
from mirrorsync.runtime.heartbeat import Heartbeat, beat
from mirrorsync.state.runs import Totals
from mirrorsync.sync import work_feed
from mirrorsync.sync.context import SyncContext
from mirrorsync.sync.ingest import ingest
from mirrorsync.sync.notifier import Notifier
from mirrorsync.sync.poll_schedule import PollSchedule, Waits, WakeUp, seconds_suspended
from mirrorsync.sync.publish_status import publish_status
from mirrorsync.sync.removal import RemovalBudget, sweep
from mirrorsync.sync.root_index import RootIndexPacer
from mirrorsync.sync.single_pass import log, note_halt
from mirrorsync.sync.worker_pool import WorkerPool

_PUBLISH_EVERY: Final = 5.0
"""Seconds between two publications of the status, and the least between two of the root index, during changes."""
_REFRESH_EVERY: Final = 300.0
"""Seconds after which the status is published without changes: a status that is never renewed looks fresh for ever."""
_ROOM: Final = 2**30
"""Bytes that must have become free before projects that failed for lack of disk space are retried ahead of their turn:
each attempt costs upstream a request, and small changes on a shared disk do not help."""


class DaemonLoop:
    """A mirror that follows its upstream. A slow project delays neither the next poll nor other projects (I7).

    Waits are measured by the monotonic clock; `suspended` returns how long the machine was suspended so far.
    """

    def __init__(
        self, context: SyncContext, schedule: PollSchedule, *, suspended: Callable[[], float] = seconds_suspended
    ) -> None:
        self._context = context
        self._waits = Waits(suspended)
        now = context.clock()
        self._budget = RemovalBudget(context.policy, now=now, spent=context.removed)
        self._sweep_budget = RemovalBudget(context.policy, now=now)
        self._pool = WorkerPool(context, self._budget)
        self._polls = 0
        self._logged = Totals(), 0
        self._logged_at = now
        self._status_at = -math.inf
        self._root = RootIndexPacer()
        self._wake_up = WakeUp()
        self._upstream_is_back = WakeUp()
        self._files_before_outage: float = math.inf
        self._least_free = -math.inf
        self._dispatcher: Heartbeat | None = None
        self._workers_wait = False
        self.schedule = schedule
        """When upstream is polled again."""
        self.trouble: MirrorsyncError | None = None
        """Why the last poll failed; None if it did not."""
        self.halt: MirrorsyncError | None = None
        """The error that only a person can correct."""
        self.stopping = self._waits.stopping
        """No new project is started; those in flight are completed."""

    @property
    def in_flight(self) -> int:
        """Projects that are being synced."""
        return len(self._pool.in_flight)

    def stop(self) -> None:
        """Let `run` end once the projects in flight are done."""
        self._waits.stop()

    def wake(self) -> None:
        """Poll upstream as soon as the schedule allows: a caller knows that it has changes."""
        self._waits.wake(self._wake_up)

    async def run(self) -> None:
        """Follow upstream until `stop` is called and the projects in flight are done.

        Failures of upstream are logged and retried. Raises: an error that only a person can correct (disk, permissions,
        another upstream). Cancellation: projects in flight are as they were before; the next run syncs them.
        """
        notifier = Notifier(self._context)
        async with trio.open_nursery() as nursery:
            # Announcements in progress at the stop run on while the last changes are published.
            nursery.start_soon(notifier.run, self.stopping)
            await self._follow()
            self._root.hurry()
            await self._publish_changes()  # also what ended after the stop
            if self.halt is not None:
                await note_halt(self._context, self.halt)
                with suppress(MirrorsyncError):  # a full disk takes no status page either
                    await self._publish_status()
        await notifier.finish()
        if self.halt is not None:
            raise self.halt

    def stuck(self, *, has_work: bool) -> Sequence[str]:
        """Return what had no heartbeat for too long. `has_work`: some project is due now."""
        if self._dispatcher is not None and (self._pool.in_flight or self._workers_wait or not has_work):
            self._dispatcher.beat()
        return self._context.heartbeats.stuck()

    async def _follow(self) -> None:
        with self._context.heartbeats.register("dispatching projects", loops=True) as self._dispatcher:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._poll_loop)
                nursery.start_soon(self._publish_loop)
                await self._work_loop()
                self.stop()

    async def _poll_loop(self) -> None:
        with self._context.heartbeats.monitor("polling", loops=True):
            while not self.stopping.is_set():
                began = trio.current_time()
                await self._poll()
                # A wake-up during the poll may be about a change that the poll did not see.
                await self._waits.wait(self.schedule, self._wake_up, since=began)

    async def _poll(self) -> None:
        """Poll upstream once, and set the schedule of the next poll."""
        try:
            await self._context.state.clamp_timestamps(self._context.clock())
            await ingest(self._context)
            await self._context.state.step_audit(self._context.clock(), self._context.policy.audit_period)
        except MirrorsyncError as error:
            if error.recovery is Recovery.HALT:
                self._halt(error)
                return
            self._context.observer.failed("upstream", error)
            self.trouble = error
            self.schedule = self.schedule.after_failure(error.retry_after)
            return
        with suppress(StoreError):  # any other use of the disk fails too, and reports it
            await self._retry_waiting()
        self._polls += 1
        self._context.observer.recovered("upstream")
        self.trouble = None
        if self.schedule.failures:
            self._waits.wake(self._upstream_is_back)
        self.schedule = self.schedule.after_success()

    async def _retry_waiting(self) -> None:
        """Retry projects that failed for lack of upstream or disk space once it is back; a start counts as back.

        Where projects failed although polls succeed, the file host was down: it is back when a file arrives.
        """
        now = self._context.clock()
        files_arrive = self._pool.totals.files > self._files_before_outage
        if self.schedule.failures or not self._polls or files_arrive:
            await self._context.state.wake("outage", now)
            self._files_before_outage = math.inf
        free = await self._context.store.free_bytes()
        if free is not None:
            if free >= self._least_free + _ROOM:
                await self._context.state.wake("space", now)
                self._least_free = free
            self._least_free = min(self._least_free, free)

    async def _work_loop(self) -> None:
        schedule = self.schedule
        while not self.stopping.is_set():
            before = self._pool.totals.projects
            try:
                await self._pool.run(work_feed.forever(self._context, self._pool, self.stopping))
            except UpstreamError as error:
                self._context.observer.failed("projects", error)
                self._files_before_outage = self._pool.totals.files
                schedule = schedule.after_success() if self._pool.totals.projects > before else schedule
                schedule = schedule.after_failure(error.retry_after)
                self._workers_wait = True
                await self._waits.wait(schedule, self._upstream_is_back, since=trio.current_time())
                self._workers_wait = False
                self._pool = WorkerPool(self._context, self._budget, self._pool.totals)
            except MirrorsyncError as error:
                self._halt(error)

    async def _publish_loop(self) -> None:
        with self._context.heartbeats.monitor("publishing", loops=True):
            while not self.stopping.is_set():
                beat(asleep_for=_PUBLISH_EVERY)
                with trio.move_on_after(_PUBLISH_EVERY):
                    await self.stopping.wait()
                beat()
                if self._pool.halt is not None and not isinstance(self._pool.halt, UpstreamError):
                    self._halt(self._pool.halt)  # now, because projects in flight may take hours
                await self._publish_changes()

    async def _publish_changes(self) -> None:
        """Publish what was done or asked since the last time, if anything was; the root index at its own pace."""
        now, polls = self._pool.totals, self._polls
        is_changed = (now, polls) != self._logged
        is_old = trio.current_time() >= self._status_at + _REFRESH_EVERY
        if not is_changed and not is_old and not (self._root.is_owed and self._root.is_due):
            return
        try:
            if is_changed:
                started_at, self._logged_at = self._logged_at, self._context.clock()
                await log(self._context, started_at, now.minus(self._logged[0]))
            if is_changed or self._root.is_owed:
                await self._root.publish(self._context)
            await sweep(self._context, self._sweep_budget)
            await self._publish_status()
        except MirrorsyncError as error:
            self._halt(error)
        self._logged = now, polls

    async def _publish_status(self) -> None:
        next_run_at = None if self.halt else self._context.clock() + self.schedule.wait(0.0)
        await publish_status(self._context, root_is_owed=self._root.is_owed, next_run_at=next_run_at)
        self._status_at = trio.current_time()

    def _halt(self, error: MirrorsyncError) -> None:
        self.halt = self.halt or error
        self.stop()
