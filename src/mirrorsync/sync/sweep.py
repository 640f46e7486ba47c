"""Deleting what nothing names any more, after its grace."""

from typing import Final

from mirrorsync.errors import TooManyDeletions
from mirrorsync.model.identity import store_path
from mirrorsync.runtime.heartbeat import beat
from mirrorsync.simple import layout
from mirrorsync.sync.context import SyncContext
from mirrorsync.sync.timing import timed

_BATCH: Final = 500
"""Objects deleted between two records."""


@timed("sweep")
async def sweep(context: SyncContext) -> int:
    """Delete every condemned object whose grace is over; return how many. Beyond the limits none is.

    An object that comes back meanwhile is fetched again in a moment, never left half deleted. Cancel-safe: what
    was being deleted stays condemned.
    """
    weight = await context.state.weigh_past_grace(context.clock())
    if not weight.files:
        context.audience.recovered("removals")  # what was held may have come back
        return 0
    try:
        context.sweep_budget.spend(weight, "objects that no page names any more", now=context.clock())
    except TooManyDeletions as refusal:
        context.audience.troubled("removals", refusal)
        return 0
    context.audience.recovered("removals")
    count = 0
    while objects := await context.state.take_past_grace(context.clock(), _BATCH):
        for condemned in objects:
            directory = layout.file_path(condemned.place, "x").rsplit("/", 1)[0]
            await context.store.delete(store_path(*directory.split("/"), condemned.filename))
            beat()
        await context.store.settle()
        await context.state.swept(objects)
        count += len(objects)
    return count
