"""What to bring up next: the work list is a query."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import Final

import trio

from mirrorsync.model.identity import ProjectName
from mirrorsync.state.progress import ProjectRow
from mirrorsync.sync.context import SyncContext

_BATCH: Final = 256
"""Projects asked of the state at a time."""
_PATIENCE: Final = 20.0
"""Seconds that a pass waits for a project which is to be tried again that soon: the first rungs of the stale
ladder, so that a cache that is seconds behind does not end a sync with something unmet."""
_LOOK_AGAIN: Final = 0.05
"""Seconds between two looks while the last projects are under way."""


async def until_idle(
    context: SyncContext, idle: Callable[[], Awaitable[None]]
) -> AsyncGenerator[list[ProjectRow], None]:
    """Yield all projects that are due, some at a time, and those that become due within seconds, until none is left.

    `idle` returns when no project is under way.
    """
    while True:
        now = context.clock()
        works = await _due(context, now)
        if works:
            yield works
            continue
        count, earliest = await context.state.waiting()
        context.audience.awaits(count)
        if context.in_flight:
            with trio.move_on_after(_LOOK_AGAIN):
                await idle()
        elif earliest is None or earliest > now + _PATIENCE:
            return
        else:
            await context.sleep(max(earliest - now, _LOOK_AGAIN))


async def for_ever(context: SyncContext, woken: trio.Event) -> AsyncGenerator[list[ProjectRow], None]:
    """Yield whatever is due, as it becomes due, until `woken`; an idle look costs 0.03 ms of SQL a second."""
    while not woken.is_set():
        works = await _due(context, context.clock())
        if works:
            yield works
        else:
            with trio.move_on_after(1):
                await woken.wait()


async def only(context: SyncContext, names: Iterable[ProjectName]) -> AsyncGenerator[list[ProjectRow], None]:
    """Yield the named projects once each, due or not."""
    for name in names:
        work = await context.state.named(name)
        if work is not None:
            yield [work]


async def _due(context: SyncContext, now: float) -> list[ProjectRow]:
    works = await context.state.due(now, _BATCH + len(context.in_flight))
    return [work for work in works if work.name not in context.in_flight]
