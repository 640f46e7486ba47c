"""One pass of a mirror: ask, bring up, publish, sweep."""

from collections.abc import Sequence
from contextlib import suppress

import msgspec

from mirrorsync.errors import DifferentUpstream, MirrorsyncError
from mirrorsync.model.identity import ProjectName
from mirrorsync.observe.run_observer import Done
from mirrorsync.state.runs import Totals, note_of
from mirrorsync.sync import work_feed as feed
from mirrorsync.sync.context import SyncContext
from mirrorsync.sync.deselect import drop_deselected
from mirrorsync.sync.ingest import ingest
from mirrorsync.sync.notifier import Notifier
from mirrorsync.sync.publish import drop_siblings
from mirrorsync.sync.publish_status import publish_status
from mirrorsync.sync.root_index import publish_root
from mirrorsync.sync.sweep import sweep
from mirrorsync.sync.worker_pool import WorkerPool


async def prepare(context: SyncContext, *, tree_has_files: bool = False, rehearses: bool = False) -> None:
    """Take up the mirror's row, and hold the configuration against it; the tree is left alone when it `rehearses`.

    Raises: DifferentUpstream, TooManyDeletions; StoreError.
    """
    policy = context.policy
    selection, content = policy.selection.fingerprint(), policy.content_fingerprint()
    mirror = await context.state.introduce(context.upstream.identity, selection, content, tree_has_files=tree_has_files)
    if mirror.upstream != context.upstream.identity:
        raise DifferentUpstream(
            f"this mirror was made from {mirror.upstream}, the configuration says {context.upstream.identity}",
            why="two indexes in one tree would be neither",
            hint="correct [upstream] index, or use another [mirror] directory",
        )
    if mirror.content != content and not context.policy.gzip and not rehearses:
        await drop_siblings(context)
    if mirror.selection != selection and not rehearses:
        await drop_deselected(context)
    if (mirror.selection, mirror.content) != (selection, content):
        await context.state.render_anew(selection, content)


async def sync(context: SyncContext, names: Sequence[ProjectName] = ()) -> Totals:
    """Make one pass until all that is due has been tried; return what was done.

    With `names`, only these are asked for, due or not. Raises: what halts a run; all that was brought up before
    it is recorded and published. Cancel-safe.
    """
    started_at = context.clock()
    pool = WorkerPool(context)
    failure: MirrorsyncError | None = None
    try:
        if names:
            await context.state.add_projects(names)
            await context.state.recheck(names)
            await pool.work_off(feed.only(context, names))
            await context.state.forget_unheard(names)
        else:
            if context.policy.allow_removals:
                await context.state.agree(started_at)
            await ingest(context)
            await context.state.step_audit(context.clock(), context.policy.audit_period)
            await pool.work_off(feed.until_idle(context, pool.idle))
    except MirrorsyncError as error:
        failure = error
    totals = msgspec.structs.replace(pool.totals, note=None if failure is None else note_of(failure))
    try:
        await log(context, started_at, totals)
        await publish_root(context)
        await sweep(context)
        await publish_status(context, root_is_owed=False)
    except MirrorsyncError as error:
        if failure is None:
            failure = error
            await note_halt(context, error)
    await Notifier(context).finish()
    if failure is not None:
        raise failure
    return totals


async def note_halt(context: SyncContext, error: MirrorsyncError) -> None:
    """Write down for `status` what ended a run that nobody has logged; where that cannot be written, nothing is."""
    now = context.clock()
    with suppress(MirrorsyncError):
        await context.state.log_run(now, Totals(note=note_of(error)), now)


def tell_unknown(context: SyncContext, totals: Totals) -> None:
    """Tell what upstream left untold, so that nobody wonders why pip finds no sidecar here."""
    if totals.sidecars_untold:
        context.tell_once(
            "untold sidecars",
            f"upstream says nothing of the metadata sidecars of {totals.sidecars_untold} wheels (PEP 658): none of"
            " them is mirrored, and clients read the wheels themselves",
        )
    if totals.sidecars_lost:
        context.audience.notes(
            f"upstream promises {totals.sidecars_lost} metadata sidecars that it does not have: they are not"
            " advertised here, and asked for again when their projects change"
        )


async def log(context: SyncContext, started_at: float, totals: Totals) -> None:
    """Write down what was done since `started_at`, and tell what an operator should know of it."""
    tell_unknown(context, totals)
    await context.state.log_run(started_at, totals, context.clock())
    serial = await context.state.synced_serial()
    context.audience.did(Done(totals.projects, totals.files, totals.fetched, totals.errors, serial))
