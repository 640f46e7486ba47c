"""Many projects at once: a feed, the workers, and one project's failure kept to itself (I7)."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

import trio
from msgspec.structs import replace

from mirrorsync.errors import MirrorsyncError, Recovery, Unreachable
from mirrorsync.model.outcome import Failed, Mirrored, Outcome
from mirrorsync.state.progress import Work
from mirrorsync.state.runs import Totals
from mirrorsync.sync.parts import Parts
from mirrorsync.sync.project import bring_up
from mirrorsync.sync.verdict import judge

_UNREACHABLE_IN_A_ROW: Final = 10
"""Projects that fail because nobody answers, one after the other, before the run stops asking."""


class Pool:
    """Workers that bring up whatever the feed hands them, until it ends or something halts the run."""

    def __init__(self, parts: Parts, totals: Totals | None = None) -> None:
        self._parts = parts
        self._halt: MirrorsyncError | None = None
        self._unreachable = 0
        self.totals = totals or Totals()
        """What was done so far, counted on from the totals given."""

    async def work_off(self, feed: AsyncGenerator[Work, None]) -> None:
        """Bring up each project of `feed`; return when all are recorded.

        Raises: the error that halted the run; what was under way is then recorded or as it was.
        Cancellation: projects under way are left as they were, to be done again.
        """
        send, receive = trio.open_memory_channel[Work](0)
        async with trio.open_nursery() as nursery:
            async with receive:
                for _ in range(self._parts.policy.workers):
                    nursery.start_soon(self._work, receive.clone())
            async with send, aclosing(feed):
                async for work in feed:
                    if self._halt is not None:
                        break
                    self._parts.in_flight.add(work.name)
                    await send.send(work)
        if self._halt is not None:
            raise self._halt

    async def _work(self, receive: trio.MemoryReceiveChannel[Work]) -> None:
        async with receive:
            async for work in receive:
                try:
                    if self._halt is None:
                        await self._bring_up(work)
                finally:
                    self._parts.in_flight.discard(work.name)

    async def _bring_up(self, work: Work) -> None:
        try:
            outcome = await bring_up(self._parts, work)
            self._unreachable = 0
        except MirrorsyncError as error:
            if error.recovery is Recovery.HALT:
                self._halt = self._halt or error
                return
            self._weigh(error)
            outcome = judge(error, work, now=self._parts.clock())
        try:
            await self._parts.state.record(outcome, self._parts.clock(), self._parts.policy.removal_grace)
        except MirrorsyncError as error:
            self._halt = self._halt or error
            return
        self._count(outcome)
        self._parts.audience.ended(outcome)

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
