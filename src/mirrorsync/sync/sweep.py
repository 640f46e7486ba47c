"""Deleting what nothing names any more, after its grace."""

from typing import Final

from mirrorsync.errors import TooManyDeletions
from mirrorsync.model.identity import store_path
from mirrorsync.pulse import beat
from mirrorsync.simple import layout
from mirrorsync.sync.parts import Parts
from mirrorsync.sync.timing import timed

_BATCH: Final = 500
"""Objects deleted between two records."""


@timed("sweep")
async def sweep(parts: Parts) -> int:
    """Delete every condemned object whose grace is over; return how many. Beyond the limits none is.

    An object that comes back meanwhile is fetched again in a moment, never left half deleted. Cancel-safe: what
    was being deleted stays condemned.
    """
    weight = await parts.state.weigh_past_grace(parts.clock())
    if not weight.files:
        parts.audience.recovered("removals")  # what was held may have come back
        return 0
    try:
        parts.sweep_budget.spend(weight, "objects that no page names any more", now=parts.clock())
    except TooManyDeletions as refusal:
        parts.audience.troubled("removals", refusal)
        return 0
    parts.audience.recovered("removals")
    count = 0
    while objects := await parts.state.take_past_grace(parts.clock(), _BATCH):
        for condemned in objects:
            directory = layout.file_path(condemned.place, "x").rsplit("/", 1)[0]
            await parts.store.delete(store_path(*directory.split("/"), condemned.filename))
            beat()
        await parts.store.settle()
        await parts.state.swept(objects)
        count += len(objects)
    return count
