"""Many projects at once: a feed, the workers, and one project's failure kept to itself (I7)."""

import time
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final

import trio
from msgspec.structs import replace

from mirrorsync.errors import MirrorsyncError, Recovery, Unreachable
from mirrorsync.model.outcome import Failed, Mirrored, Outcome
from mirrorsync.model.page import PageResult
from mirrorsync.state.progress import ProjectRow
from mirrorsync.state.runs import Totals
from mirrorsync.sync.context import SyncContext
from mirrorsync.sync.failure_policy import judge
from mirrorsync.sync.project import PageTask, bring_up, errand

_UNREACHABLE_IN_A_ROW: Final = 10
"""Projects that fail because nobody answers, one after the other, before the run stops asking."""
_TOGETHER: Final = 16
"""Pages that are asked for together on one connection."""
_MOMENT: Final = 0.02
"""Seconds that free places wait for enough others to make a group."""


class WorkerPool:
    """Brings up whatever the feed hands it, many projects at once, until it ends or something halts the run."""

    def __init__(self, context: SyncContext, totals: Totals | None = None) -> None:
        self._context = context
        self._halt: MirrorsyncError | None = None
        self._unreachable = 0
        self._free = context.policy.workers
        self._freed = trio.Event()
        self.totals = totals or Totals()
        """What was done so far, counted on from the totals given."""

    @property
    def halt(self) -> MirrorsyncError | None:
        """What ends the run as soon as those under way are done."""
        return self._halt

    async def work_off(self, feed: AsyncGenerator[Sequence[ProjectRow], None]) -> None:
        """Bring up each project of `feed`; return when all are recorded.

        Raises: the error that halted the run; what was under way is then recorded or as it was.
        Cancellation: projects under way are left as they were, to be done again.
        """
        async with aclosing(feed), trio.open_nursery() as nursery:
            async for works in feed:
                waiting = deque(works)
                while waiting and self._halt is None:
                    await self._wait_for_room(len(waiting))
                    group = [waiting.popleft() for _ in range(min(len(waiting), self._free, _TOGETHER))]
                    self._free -= len(group)
                    self._context.in_flight.update(work.name for work in group)
                    nursery.start_soon(self._bring_up_all, group, nursery)
                if self._halt is not None:
                    break
        if self._halt is not None:
            raise self._halt

    async def _wait_for_room(self, wanted: int) -> None:
        """Return when a whole group has room; where slow projects hold it, a moment after one has."""
        while self._free == 0:
            await self._wait_until_freed()
        with trio.move_on_after(_MOMENT):
            while self._free < min(wanted, _TOGETHER):
                await self._wait_until_freed()

    async def _wait_until_freed(self) -> None:
        self._freed = trio.Event()
        await self._freed.wait()

    async def idle(self) -> None:
        """Return when no project is under way."""
        while self._context.in_flight:
            await self._wait_until_freed()

    async def _bring_up_all(self, group: Sequence[ProjectRow], nursery: trio.Nursery) -> None:
        waiting = {work.name: errand(work, self._context.clock()) for work in group}
        requests = [task.request for task in waiting.values()]
        others = f" and {len(group) - 1} more" if len(group) > 1 else ""
        try:
            with self._context.pulses.bearing(f"asking for {group[0].name}{others}"):
                async with self._context.upstream.pages(requests) as groups:
                    async for results in groups:
                        for result in results:
                            nursery.start_soon(self._bring_up, waiting.pop(result.request.name), result)
                        if self._halt is not None:
                            break
        finally:
            for task in waiting.values():
                self._end(task.work)

    async def _bring_up(self, each: PageTask, result: PageResult) -> None:
        try:
            if self._halt is None:
                with self._context.pulses.bearing(each.work.name):
                    await self._bring_up_and_record(each, result)
        finally:
            self._end(each.work)

    def _end(self, work: ProjectRow) -> None:
        self._context.in_flight.discard(work.name)
        self._free += 1
        self._freed.set()

    async def _bring_up_and_record(self, each: PageTask, result: PageResult) -> None:
        began = time.perf_counter()
        try:
            outcome: Outcome = await bring_up(self._context, each, result)
            self._unreachable = 0
        except MirrorsyncError as error:
            if error.recovery is Recovery.HALT:
                self._halt = self._halt or error
                return
            self._weigh(error)
            outcome = judge(error, each.work, now=self._context.clock())
        brought_up = time.perf_counter()
        try:
            await self._context.state.record(outcome, self._context.clock(), self._context.policy.removal_grace)
        except MirrorsyncError as error:
            self._halt = self._halt or error
            return
        recorded = time.perf_counter()
        self._context.audience.took("project", recorded - began)
        self._context.audience.took("commit", recorded - brought_up)
        self._count(outcome)
        self._context.audience.ended(outcome)

    def _weigh(self, error: MirrorsyncError) -> None:
        """Halt when it is upstream that fails, and not the projects one by one."""
        self._unreachable = self._unreachable + 1 if isinstance(error, Unreachable) else 0
        if self._unreachable >= _UNREACHABLE_IN_A_ROW and self._halt is None:
            self._halt = error

    def _count(self, outcome: Outcome) -> None:
        totals = self.totals
        match outcome:
            case Failed():
                self.totals = replace(totals, errors=totals.errors + 1)
            case Mirrored():
                self.totals = replace(
                    totals,
                    projects=totals.projects + 1,
                    files=totals.files + sum(file.file_is_new for file in outcome.stored),
                    fetched=totals.fetched + outcome.bytes_fetched,
                    sidecars_untold=totals.sidecars_untold + outcome.sidecars_untold,
                    sidecars_lost=totals.sidecars_lost + outcome.sidecars_lost,
                )
            case _:
                self.totals = replace(totals, projects=totals.projects + 1)
