"""Which projects to sync next: the work list is a query."""

from collections.abc import AsyncGenerator, Iterable
from typing import Final

import trio

from mirrorsync.model.identity import ProjectName
from mirrorsync.state.progress import ProjectRow
from mirrorsync.sync.context import SyncContext
from mirrorsync.sync.worker_pool import WorkerPool

_BATCH: Final = 256
"""Rows in one query."""
_RETRY_WAIT: Final = 20.0
"""Seconds that a pass waits for a project whose next attempt is that soon: the first waits for a stale page, so that
a cache that is seconds behind leaves nothing unmet at the end of a pass."""
_POLL: Final = 0.05
"""Seconds between two queries while the last projects are in flight."""


async def until_idle(context: SyncContext, pool: WorkerPool) -> AsyncGenerator[list[ProjectRow], None]:
    """Yield all due projects in batches, and those that become due within seconds, until none is left."""
    while True:
        now = context.clock()
        rows = await _due(context, pool, now)
        if rows:
            yield rows
            continue
        count, earliest = await context.state.waiting()
        context.observer.queued(count)
        if pool.in_flight:
            with trio.move_on_after(_POLL):
                await pool.idle()
        elif earliest is None or earliest > now + _RETRY_WAIT:
            return
        else:
            await context.sleep(max(earliest - now, _POLL))


async def forever(
    context: SyncContext, pool: WorkerPool, stopping: trio.Event
) -> AsyncGenerator[list[ProjectRow], None]:
    """Yield projects as they become due, until `stopping`; an idle query costs 0.03 ms of SQL per second."""
    while not stopping.is_set():
        rows = await _due(context, pool, context.clock())
        if rows:
            yield rows
        else:
            with trio.move_on_after(1):
                await stopping.wait()


async def only(context: SyncContext, names: Iterable[ProjectName]) -> AsyncGenerator[list[ProjectRow], None]:
    """Yield the named projects once each, due or not."""
    for name in names:
        row = await context.state.named(name)
        if row is not None:
            yield [row]


async def _due(context: SyncContext, pool: WorkerPool, now: float) -> list[ProjectRow]:
    rows = await context.state.due(now, _BATCH + len(pool.in_flight))
    return [row for row in rows if row.name not in pool.in_flight]
