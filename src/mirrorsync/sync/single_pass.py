"""One pass of a mirror: poll, sync what is due, publish, sweep."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import msgspec

from mirrorsync.errors import DifferentUpstream, MirrorsyncError
from mirrorsync.model.identity import ProjectName
from mirrorsync.observe.run_observer import Done
from mirrorsync.state.runs import Totals, note_of
from mirrorsync.sync import work_feed
from mirrorsync.sync.context import SyncContext
from mirrorsync.sync.ingest import ingest
from mirrorsync.sync.notifier import Notifier
from mirrorsync.sync.publish import drop_siblings
from mirrorsync.sync.publish_status import publish_status
from mirrorsync.sync.removal import RemovalBudget, drop_deselected, sweep
from mirrorsync.sync.root_index import publish_root
from mirrorsync.sync.worker_pool import WorkerPool


async def prepare(context: SyncContext, *, tree_has_files: bool = False, is_dry_run: bool = False) -> SyncContext:
    """Compare the state with the configuration, and apply what changed; a dry run changes nothing in the tree.

    Returns the context for the run, with what was removed. Raises: DifferentUpstream, TooManyDeselected; StoreError.
    """
    policy = context.policy
    selection, content = policy.selection.fingerprint(), policy.content_fingerprint()
    mirror = await context.state.init_mirror(
        context.upstream.identity, selection, content, tree_has_files=tree_has_files
    )
    if mirror.upstream != context.upstream.identity:
        raise DifferentUpstream(
            f"this mirror was made from {mirror.upstream}, the configuration says {context.upstream.identity}",
            why="two indexes in one tree would be neither",
            hint="correct [upstream] index, or use another [mirror] directory",
        )
    if mirror.content != content and not policy.gzip and not is_dry_run:
        await drop_siblings(context)
    if mirror.selection != selection and not is_dry_run:
        context = replace(context, removed=await drop_deselected(context))
    if (mirror.selection, mirror.content) != (selection, content):
        await context.state.render_all(selection, content)
    return context


async def sync(context: SyncContext, names: Sequence[ProjectName] = ()) -> Totals:
    """Make one pass: try everything that is due, then publish; return what was done.

    With `names` only these projects are synced, due or not. Raises: the error that halted the run; everything before it
    is recorded and published. Cancel-safe.
    """
    started_at = context.clock()
    pool = WorkerPool(context, RemovalBudget(context.policy, now=started_at, spent=context.removed))
    failure: MirrorsyncError | None = None
    try:
        if names:
            await _sync_named(context, pool, names)
        else:
            await _sync_due(context, pool)
    except MirrorsyncError as error:
        failure = error
    totals = msgspec.structs.replace(pool.totals, note=None if failure is None else note_of(failure))
    try:
        await log(context, started_at, totals)
        await publish_root(context)
        await sweep(context, RemovalBudget(context.policy, now=started_at))
        await publish_status(context, root_is_owed=False)
    except MirrorsyncError as error:
        if failure is None:
            failure = error
            await note_halt(context, error)
    await Notifier(context).finish()
    if failure is not None:
        raise failure
    return totals


async def _sync_named(context: SyncContext, pool: WorkerPool, names: Sequence[ProjectName]) -> None:
    await context.state.add_projects(names)
    await context.state.recheck(names)
    await pool.run(work_feed.only(context, names))
    await context.state.forget_unknown(names)


async def _sync_due(context: SyncContext, pool: WorkerPool) -> None:
    if context.policy.allow_removals:
        await context.state.release_held(context.clock())
    await ingest(context)
    await context.state.step_audit(context.clock(), context.policy.audit_period)
    await pool.run(work_feed.until_idle(context, pool))


async def note_halt(context: SyncContext, error: MirrorsyncError) -> None:
    """Record for `status` the error that ended a run before it was logged, if the state can be written."""
    now = context.clock()
    with suppress(MirrorsyncError):
        await context.state.log_run(now, Totals(note=note_of(error)), now)


async def log(context: SyncContext, started_at: float, totals: Totals) -> None:
    """Record what was done since `started_at`, and log it for the operator."""
    _note_sidecars(context, totals)
    await context.state.log_run(started_at, totals, context.clock())
    serial = await context.state.synced_serial()
    context.observer.published(Done(totals.projects, totals.files, totals.fetched, totals.errors, serial))


def _note_sidecars(context: SyncContext, totals: Totals) -> None:
    if totals.sidecars_untold:
        context.observer.warn_once(
            "untold sidecars",
            f"upstream says nothing of the metadata sidecars of {totals.sidecars_untold} wheels (PEP 658): none of"
            " them is mirrored, and clients read the wheels themselves",
        )
    if totals.sidecars_lost:
        context.observer.warn(
            f"upstream promises {totals.sidecars_lost} metadata sidecars that it does not have: they are not"
            " advertised here, and requested again when their projects change"
        )
