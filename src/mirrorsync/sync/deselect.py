"""Letting go of projects that the configuration no longer selects."""

from typing import Final

from mirrorsync.errors import TooManyDeletions, TooManyDeselected
from mirrorsync.model.outcome import Removed
from mirrorsync.sync.parts import Parts
from mirrorsync.sync.publish import withdraw_page

_HINT: Final = (
    "nothing was removed, and nothing is done until that is settled: correct [select], or agree once with"
    " `mirrorsync sync --allow-removals`, or raise [limits]. `mirrorsync sync --dry-run` shows what would go"
)


async def drop_deselected(parts: Parts) -> int:
    """Withdraw and forget every project that the selection leaves out; return how many had a page.

    Their files are deleted after the usual grace. Safe to repeat at every step.
    Raises: TooManyDeselected, before anything is withdrawn, when they are more than the limits allow.
    """
    policy = parts.policy
    names = [name for name in await parts.state.names() if not policy.selection.selects(name)]
    weight = await parts.state.weigh(names)
    try:
        parts.budget.spend(weight, "what [select] now leaves out", now=parts.clock())
    except TooManyDeletions as error:
        raise TooManyDeselected(error.what, why=error.why, hint=_HINT) from error
    for name in names:
        await parts.state.about_to_publish(name, None)
        await withdraw_page(parts, name)
    await parts.store.settle()
    for name in names:
        outcome = Removed(name=name, reason="no longer selected by the configuration", wanted_serial=None)
        await parts.state.record(outcome, parts.clock(), policy.removal_grace)
        parts.audience.ended(outcome)
    await parts.state.forget(names)
    return weight.projects
