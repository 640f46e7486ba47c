"""Letting go of projects that the configuration no longer selects."""

from mirrorsync.errors import TooManyDeletions
from mirrorsync.model.outcome import Removed
from mirrorsync.sync.parts import Parts
from mirrorsync.sync.publish import withdraw_page


async def drop_deselected(parts: Parts) -> int:
    """Withdraw and forget every project that the selection leaves out; return how many had a page.

    Their files are deleted after the usual grace. Safe to repeat at every step.
    Raises: TooManyDeletions, before anything is withdrawn, when they are more than the limits allow.
    """
    policy = parts.policy
    names = [name for name in await parts.state.names() if not policy.selection.selects(name)]
    weight = await parts.state.weigh(names)
    if weight.projects > policy.max_removed_projects or weight.size > policy.max_removed_bytes:
        raise TooManyDeletions(
            f"[select] now leaves out {weight.projects} projects that are mirrored ({weight.size} bytes)",
            why=f"the limits are {policy.max_removed_projects} projects and {policy.max_removed_bytes} bytes",
            hint="nothing was removed; raise [limits] for one run if you mean it, or correct [select]",
        )
    for name in names:
        await withdraw_page(parts, name)
    await parts.store.settle()
    for name in names:
        outcome = Removed(name=name, reason="no longer selected by the configuration")
        await parts.state.record(outcome, parts.clock(), policy.removal_grace)
    await parts.state.forget(names)
    return weight.projects
