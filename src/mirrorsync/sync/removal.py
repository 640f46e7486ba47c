"""Removing projects and files: only when two sources agree, and within the operator's limits (I5)."""

from collections.abc import Sequence
from typing import Final

from mirrorsync.errors import TooManyDeletions, TooManyDeselected
from mirrorsync.model.identity import ProjectName, store_path
from mirrorsync.model.outcome import Removed
from mirrorsync.model.units import format_size
from mirrorsync.runtime.heartbeat import beat
from mirrorsync.simple import layout
from mirrorsync.state.progress import NOTHING, ProjectRow, Weight
from mirrorsync.sync.context import SyncContext
from mirrorsync.sync.policy import Policy
from mirrorsync.sync.publish import withdraw_page

REPEAT_AFTER: Final = 180.0
"""Seconds after which a second 404 is a new response and not the same cached one (PyPI's CDN: 60 s per layer)."""
_WINDOW: Final = 86400.0
"""Seconds after which the limits count from zero again."""
_BATCH: Final = 500
"""Objects that a sweep deletes between two transactions."""
_LIMITS_HINT: Final = (
    "nothing of it was removed, everything else goes on. `mirrorsync sync --dry-run` shows what would go; if upstream"
    " really removed it, allow it once with `mirrorsync sync --allow-removals`, or raise [limits]"
)
_DESELECTED_HINT: Final = (
    "nothing was removed, and the sync does not start until this is settled: correct [select], or allow it once with"
    " `mirrorsync sync --allow-removals`, or raise [limits]. `mirrorsync sync --dry-run` shows what would go"
)


class RemovalBudget:
    """What may still be removed before a person must agree; it starts anew each day."""

    def __init__(self, policy: Policy, *, now: float, spent: Weight = NOTHING) -> None:
        self._policy = policy
        self._spent = spent
        self._since = now

    def spend(self, weight: Weight, what: str, *, now: float) -> None:
        """Count `weight` as removed. Raises: TooManyDeletions, counting nothing, when it exceeds the limits."""
        if now - self._since > _WINDOW:
            self._spent, self._since = NOTHING, now
        policy = self._policy
        after = Weight(
            projects=self._spent.projects + weight.projects,
            files=self._spent.files + weight.files,
            size=self._spent.size + weight.size,
        )
        exceeds = (
            after.projects > policy.max_removed_projects
            or after.files > policy.max_removed_files
            or after.size > policy.max_removed_bytes
        )
        if exceeds and not policy.allow_removals:
            raise TooManyDeletions(
                f"{what}: {weight.projects} projects, {weight.files} files and {format_size(weight.size)} would go",
                why=f"with earlier removals that is beyond the limits of {policy.max_removed_projects} projects,"
                f" {policy.max_removed_files} files and {format_size(policy.max_removed_bytes)}",
                hint=_LIMITS_HINT,
            )
        self._spent = after


async def second_witness(context: SyncContext, row: ProjectRow) -> str:
    """Return what confirms, besides the page's 404, that the project was removed; empty if nothing does yet.

    The journal's last row counts at once: malware must go fast. Anything else needs a repeated 404.
    Raises: as `Upstream.is_absent`.
    """
    if row.said_removed:
        return "removed upstream: the journal says so and the page is gone"
    if row.gone_at is None or context.clock() - row.gone_at < REPEAT_AFTER:
        return ""
    if row.unlisted:
        return "removed upstream: the root list leaves it out and the page is gone"
    if row.name in context.policy.selection.projects and not row.present:
        return ""  # a name that never existed: probably misspelled, so `status` shows it until it is corrected
    if await context.upstream.is_absent(row.name):
        return "removed upstream: neither page nor release data exists any more"
    return ""


async def remove_project(context: SyncContext, row: ProjectRow, budget: RemovalBudget, *, reason: str) -> Removed:
    """Withdraw the project's page; its files are deleted after the grace. Raises: TooManyDeletions; StoreError."""
    budget.spend(await context.state.weigh([row.name]), str(row.name), now=context.clock())
    if row.present:
        await context.state.about_to_publish([(row.name, None)])
    await withdraw_page(context, row.name)
    await context.store.settle()
    return Removed(name=row.name, reason=reason, wanted_serial=row.wanted_serial)


async def drop_deselected(context: SyncContext) -> Weight:
    """Withdraw and forget every project that the selection excludes; return what was removed.

    Their files are deleted after the usual grace. Every step is safe to repeat.
    Raises: TooManyDeselected, before anything is withdrawn, when they exceed the limits.
    """
    policy = context.policy
    names = [name for name in await context.state.names() if not policy.selection.selects(name)]
    weight = await context.state.weigh(names)
    try:
        RemovalBudget(policy, now=context.clock()).spend(weight, "what [select] now leaves out", now=context.clock())
    except TooManyDeletions as error:
        raise TooManyDeselected(error.what, why=error.why, hint=_DESELECTED_HINT) from error
    for start in range(0, len(names), _BATCH):
        await _withdraw_deselected(context, names[start : start + _BATCH])
    await context.state.forget(names)
    return weight


async def _withdraw_deselected(context: SyncContext, names: Sequence[ProjectName]) -> None:
    await context.state.about_to_publish([(name, None) for name in names])
    for name in names:
        await withdraw_page(context, name)
    await context.store.settle()
    reason = "no longer selected by the configuration"
    outcomes = [Removed(name=name, reason=reason, wanted_serial=None) for name in names]
    await context.state.record(outcomes, context.clock(), context.policy.removal_grace)
    for outcome in outcomes:
        context.observer.ended(outcome)


async def sweep(context: SyncContext, budget: RemovalBudget) -> int:
    """Delete every condemned object whose grace is over, or none beyond the limits; return how many.

    An object that a page names again meanwhile is fetched again later, never left half deleted. Cancel-safe: an
    object that is being deleted stays condemned.
    """
    with context.timed("sweep"):
        weight = await context.state.weigh_past_grace(context.clock())
        try:
            budget.spend(weight, "objects that no page names any more", now=context.clock())
        except TooManyDeletions as refusal:
            context.observer.failed("removals", refusal)
            return 0
        context.observer.recovered("removals")  # also without files: what exceeded the limits may be named again
        return await _delete_condemned(context) if weight.files else 0


async def _delete_condemned(context: SyncContext) -> int:
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
