"""Syncs many projects at once; the failure of one project stays its own (I7)."""

import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from collections.abc import Set as AbstractSet
from contextlib import aclosing
from functools import partial
from typing import Final

import trio
from msgspec.structs import replace

from mirrorsync.errors import MirrorsyncError, ProjectGone, Recovery, Unreachable
from mirrorsync.model.identity import ProjectName
from mirrorsync.model.outcome import Confirmed, Failed, Mirrored, Outcome
from mirrorsync.model.page import ProjectPage, Unchanged
from mirrorsync.state.progress import ProjectRow
from mirrorsync.state.runs import Totals
from mirrorsync.sync import project
from mirrorsync.sync.context import SyncContext
from mirrorsync.sync.failure_policy import judge
from mirrorsync.sync.project import Draft, PageTask, Publication
from mirrorsync.sync.removal import RemovalBudget

_UNREACHABLE_IN_A_ROW: Final = 10
"""Projects in a row that fail because upstream does not answer, before the run stops."""
BATCH: Final = 16
"""Pages that are requested together on one connection."""
_GATHER: Final = 0.02
"""Seconds that free slots wait for enough others to make a batch."""
_SHARED_FILES: Final = 200
"""Files of a page at most that is encoded and published together with others: it takes a few milliseconds."""

Fetched = tuple[PageTask, ProjectPage | Unchanged | MirrorsyncError]
Ended = tuple[ProjectRow, Outcome | MirrorsyncError]


class WorkerPool:
    """Syncs the projects that a feed yields, until it ends or an error halts the run."""

    def __init__(self, context: SyncContext, budget: RemovalBudget, totals: Totals | None = None) -> None:
        """`budget`: what pages may still remove in this run. `totals`: what was done before."""
        self._context = context
        self._budget = budget
        self._free = context.policy.workers
        self._freed = trio.Event()
        self._in_flight: set[ProjectName] = set()
        self._unreachable = 0
        self.halt: MirrorsyncError | None = None
        """The error that ends the run as soon as the projects in flight are done."""
        self.totals = totals or Totals()
        """What was done so far, including the totals given."""

    @property
    def in_flight(self) -> AbstractSet[ProjectName]:
        """The projects that are being synced; no one else may start them."""
        return self._in_flight

    async def run(self, feed: AsyncGenerator[Sequence[ProjectRow], None]) -> None:
        """Sync each project of `feed`; return when all outcomes are recorded.

        Raises: the error that halted the run; projects in flight are then recorded, or as they were before.
        Cancellation: projects in flight are as they were before, or as far as they got; the next run completes them.
        """
        async with aclosing(feed), trio.open_nursery() as nursery:
            async for rows in feed:
                waiting = deque(rows)
                while waiting and self.halt is None:
                    await self._wait_for_slots(len(waiting))
                    batch = [waiting.popleft() for _ in range(min(len(waiting), self._free, BATCH))]
                    self._take_slots(batch)
                    nursery.start_soon(self._sync_batch, batch, nursery)
                if self.halt is not None:
                    break
        if self.halt is not None:
            raise self.halt

    async def idle(self) -> None:
        """Return when no project is in flight."""
        while self._in_flight:
            await self._wait_until_freed()

    # --- slots -----------------------------------------------------------------------------------------------

    async def _wait_for_slots(self, wanted: int) -> None:
        """Return when a whole batch has slots; while slow projects hold them, a moment after one slot is free."""
        while self._free == 0:
            await self._wait_until_freed()
        with trio.move_on_after(_GATHER):
            while self._free < min(wanted, BATCH):
                await self._wait_until_freed()

    async def _wait_until_freed(self) -> None:
        self._freed = trio.Event()
        await self._freed.wait()

    def _take_slots(self, rows: Sequence[ProjectRow]) -> None:
        self._free -= len(rows)
        self._in_flight.update(row.name for row in rows)
        self._context.observer.in_flight(len(self._in_flight))

    def _free_slots(self, rows: Sequence[ProjectRow]) -> None:
        self._free += len(rows)
        self._in_flight.difference_update(row.name for row in rows)
        self._context.observer.in_flight(len(self._in_flight))
        self._freed.set()

    # --- one batch -------------------------------------------------------------------------------------------

    async def _sync_batch(self, rows: Sequence[ProjectRow], nursery: trio.Nursery) -> None:
        """Request the pages of `rows` together, and handle each group of results as it arrives."""
        now = self._context.clock()
        tasks = {row.name: project.fetch(row, now) for row in rows}
        others = f" and {len(rows) - 1} more" if len(rows) > 1 else ""
        try:
            with self._context.heartbeats.monitor(f"requesting {rows[0].name}{others}"):
                async with self._context.upstream.pages([task.request for task in tasks.values()]) as groups:
                    async for group in groups:
                        results = [(tasks.pop(result.request.name), result.outcome) for result in group]
                        await self._handle(results, nursery)
        finally:
            self._free_slots([task.row for task in tasks.values()])

    async def _handle(self, results: Sequence[Fetched], nursery: trio.Nursery) -> None:
        """Publish and record the projects that lack nothing together; start a task for each of the others."""
        left = {task.row.name: task.row for task, _ in results}
        try:
            if self.halt is not None:
                return
            began = time.perf_counter()
            ended, shared, alone = await self._sort(results)
            for name, work in alone.items():
                nursery.start_soon(self._sync_alone, left.pop(name), work)
            ended += await self._publish(shared)
            await self._record(ended, began)
        finally:
            self._free_slots(list(left.values()))

    async def _sort(
        self, results: Sequence[Fetched]
    ) -> tuple[list[Ended], list[Publication], dict[ProjectName, Callable[[], Awaitable[Outcome]]]]:
        """Return the projects that have ended, those to publish together, and the work of those that need more."""
        ended: list[Ended] = []
        shared: list[Publication] = []
        alone: dict[ProjectName, Callable[[], Awaitable[Outcome]]] = {}
        pages: list[tuple[PageTask, ProjectPage]] = []
        for task, fetched in results:
            row = task.row
            match fetched:
                case ProjectPage():
                    pages.append((task, fetched))
                case Unchanged():
                    ended.append((row, Confirmed(name=row.name, content_serial=row.content_serial)))
                case ProjectGone():
                    alone[row.name] = partial(project.remove, self._context, row, fetched, self._budget)
                case _:
                    ended.append((row, fetched))
        for (task, _), draft in zip(pages, await self._select(pages), strict=True):
            if isinstance(draft, MirrorsyncError):
                ended.append((task.row, draft))
            elif self._is_shared(draft):
                shared.append(project.encode(self._context.policy, draft))
            else:
                alone[task.row.name] = partial(self._store_and_publish, draft)
        return ended, shared, alone

    async def _select(self, fetched: Sequence[tuple[PageTask, ProjectPage]]) -> Sequence[Draft | MirrorsyncError]:
        if not fetched:
            return ()
        try:
            return await project.select(self._context, fetched, self._budget)
        except MirrorsyncError as error:
            return [error] * len(fetched)

    def _is_shared(self, draft: Draft) -> bool:
        """Whether nothing is left to do for the page but to encode, publish and record it."""
        has_legacy = project.has_legacy_document(self._context.policy, draft.task.row)
        return not draft.intent.needs and not has_legacy and len(draft.page.files) <= _SHARED_FILES

    async def _publish(self, publications: Sequence[Publication]) -> Sequence[Ended]:
        """Publish the pages together or, where that fails, one by one: then each has a failure of its own."""
        if not publications:
            return ()
        try:
            await project.publish(self._context, publications)
        except MirrorsyncError as error:
            if len(publications) == 1:
                return [(publications[0].row, error)]
            return [ended for each in publications for ended in await self._publish([each])]
        return [(each.row, each.outcome) for each in publications]

    # --- one project -----------------------------------------------------------------------------------------

    async def _sync_alone(self, row: ProjectRow, work: Callable[[], Awaitable[Outcome]]) -> None:
        began = time.perf_counter()
        try:
            if self.halt is None:
                with self._context.heartbeats.monitor(row.name):
                    try:
                        ended: Ended = (row, await work())
                    except MirrorsyncError as error:
                        ended = (row, error)
                    await self._record([ended], began)
        finally:
            self._free_slots([row])

    async def _store_and_publish(self, draft: Draft) -> Mirrored:
        draft = await project.store(self._context, draft, in_flight=len(self._in_flight))
        publication = project.encode(self._context.policy, draft)
        await project.publish(self._context, [publication])
        return publication.outcome

    # --- the end ---------------------------------------------------------------------------------------------

    async def _record(self, ended: Sequence[Ended], began: float) -> None:
        """Record the outcomes in one transaction. An error that halts the run has no outcome."""
        outcomes = self._judge(ended)
        if not outcomes:
            return
        worked = time.perf_counter()
        try:
            await self._context.state.record(outcomes, self._context.clock(), self._context.policy.removal_grace)
        except MirrorsyncError as error:
            self.halt = self.halt or error
            return
        recorded = time.perf_counter()
        observer = self._context.observer
        for outcome in outcomes:
            observer.took("project", recorded - began)
            observer.took("commit", recorded - worked)
            self._count(outcome)
            observer.ended(outcome)

    def _judge(self, ended: Sequence[Ended]) -> list[Outcome]:
        """Turn errors into outcomes; halt where an error says so, or where upstream fails and not its projects."""
        now = self._context.clock()
        is_reachable = any(not isinstance(outcome, MirrorsyncError) for _, outcome in ended)
        self._unreachable = 0 if is_reachable else self._unreachable
        outcomes: list[Outcome] = []
        for row, outcome in ended:
            if not isinstance(outcome, MirrorsyncError):
                outcomes.append(outcome)
            elif outcome.recovery is Recovery.HALT:
                self.halt = self.halt or outcome
            else:
                self._weigh(outcome, is_reachable=is_reachable)
                outcomes.append(judge(outcome, row, now=now))
        return outcomes

    def _weigh(self, error: MirrorsyncError, *, is_reachable: bool) -> None:
        if is_reachable:
            return
        self._unreachable = self._unreachable + 1 if isinstance(error, Unreachable) else 0
        if self._unreachable >= _UNREACHABLE_IN_A_ROW:
            self.halt = self.halt or error

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
