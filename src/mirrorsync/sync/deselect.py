"""Letting go of projects that the configuration no longer selects."""

from typing import Final

from mirrorsync.errors import TooManyDeletions, TooManyDeselected
from mirrorsync.model.outcome import Removed
from mirrorsync.sync.context import SyncContext
from mirrorsync.sync.publish import withdraw_page

_HINT: Final = (
    "nothing was removed, and nothing is done until that is settled: correct [select], or agree once with"
    " `mirrorsync sync --allow-removals`, or raise [limits]. `mirrorsync sync --dry-run` shows what would go"
)


async def drop_deselected(context: SyncContext) -> int:
    """Withdraw and forget every project that the selection leaves out; return how many had a page.

    Their files are deleted after the usual grace. Safe to repeat at every step.
    Raises: TooManyDeselected, before anything is withdrawn, when they are more than the limits allow.
    """
    policy = context.policy
    names = [name for name in await context.state.names() if not policy.selection.selects(name)]
    weight = await context.state.weigh(names)
    try:
        context.budget.spend(weight, "what [select] now leaves out", now=context.clock())
    except TooManyDeletions as error:
        raise TooManyDeselected(error.what, why=error.why, hint=_HINT) from error
    for name in names:
        await context.state.about_to_publish(name, None)
        await withdraw_page(context, name)
    await context.store.settle()
    for name in names:
        outcome = Removed(name=name, reason="no longer selected by the configuration", wanted_serial=None)
        await context.state.record(outcome, context.clock(), policy.removal_grace)
        context.audience.ended(outcome)
    await context.state.forget(names)
    return weight.projects
