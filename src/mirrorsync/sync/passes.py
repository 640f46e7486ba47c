"""One pass of a mirror: ask, bring up, publish, sweep."""

from collections.abc import Sequence
from contextlib import suppress

import msgspec

from mirrorsync.errors import DifferentUpstream, MirrorsyncError
from mirrorsync.model.identity import ProjectName
from mirrorsync.observe.progress import Done
from mirrorsync.state.runs import Totals, note_of
from mirrorsync.sync import feed
from mirrorsync.sync.deselect import drop_deselected
from mirrorsync.sync.ingest import ingest
from mirrorsync.sync.notify import Crier
from mirrorsync.sync.parts import Parts
from mirrorsync.sync.pool import Pool
from mirrorsync.sync.publish import drop_siblings
from mirrorsync.sync.root_index import publish_root
from mirrorsync.sync.sweep import sweep
from mirrorsync.sync.traces import leave_traces


async def prepare(parts: Parts, *, tree_has_files: bool = False, rehearses: bool = False) -> None:
    """Take up the mirror's row, and hold the configuration against it; the tree is left alone when it `rehearses`.

    Raises: DifferentUpstream, TooManyDeletions; StoreError.
    """
    policy = parts.policy
    selection, content = policy.selection.fingerprint(), policy.content_fingerprint()
    mirror = await parts.state.introduce(parts.upstream.identity, selection, content, tree_has_files=tree_has_files)
    if mirror.upstream != parts.upstream.identity:
        raise DifferentUpstream(
            f"this mirror was made from {mirror.upstream}, the configuration says {parts.upstream.identity}",
            why="two indexes in one tree would be neither",
            hint="correct [upstream] index, or use another [mirror] directory",
        )
    if mirror.content != content and not parts.policy.gzip and not rehearses:
        await drop_siblings(parts)
    if mirror.selection != selection and not rehearses:
        await drop_deselected(parts)
    if (mirror.selection, mirror.content) != (selection, content):
        await parts.state.render_anew(selection, content)


async def sync(parts: Parts, names: Sequence[ProjectName] = ()) -> Totals:
    """Make one pass until all that is due has been tried; return what was done.

    With `names`, only these are asked for, due or not. Raises: what halts a run; all that was brought up before
    it is recorded and published. Cancel-safe.
    """
    started_at = parts.clock()
    pool = Pool(parts)
    failure: MirrorsyncError | None = None
    try:
        if names:
            await parts.state.hear_of(names)
            await parts.state.recheck(names)
            await pool.work_off(feed.only(parts, names))
            await parts.state.forget_unheard(names)
        else:
            if parts.policy.allow_removals:
                await parts.state.agree(started_at)
            await ingest(parts)
            await parts.state.step_audit(parts.clock(), parts.policy.audit_period)
            await pool.work_off(feed.until_idle(parts, pool.idle))
    except MirrorsyncError as error:
        failure = error
    totals = msgspec.structs.replace(pool.totals, note=None if failure is None else note_of(failure))
    try:
        await log(parts, started_at, totals)
        await publish_root(parts)
        await sweep(parts)
        await leave_traces(parts, root_is_owed=False)
    except MirrorsyncError as error:
        if failure is None:
            failure = error
            await note_halt(parts, error)
    await Crier(parts).finish()
    if failure is not None:
        raise failure
    return totals


async def note_halt(parts: Parts, error: MirrorsyncError) -> None:
    """Write down for `status` what ended a run that nobody has logged; where that cannot be written, nothing is."""
    now = parts.clock()
    with suppress(MirrorsyncError):
        await parts.state.log_run(now, Totals(note=note_of(error)), now)


def tell_unknown(parts: Parts, totals: Totals) -> None:
    """Tell what upstream left untold, so that nobody wonders why pip finds no sidecar here."""
    if totals.sidecars_untold:
        parts.tell_once(
            "untold sidecars",
            f"upstream says nothing of the metadata sidecars of {totals.sidecars_untold} wheels (PEP 658): none of"
            " them is mirrored, and clients read the wheels themselves",
        )
    if totals.sidecars_lost:
        parts.audience.notes(
            f"upstream promises {totals.sidecars_lost} metadata sidecars that it does not have: they are not"
            " advertised here, and asked for again when their projects change"
        )


async def log(parts: Parts, started_at: float, totals: Totals) -> None:
    """Write down what was done since `started_at`, and tell what an operator should know of it."""
    tell_unknown(parts, totals)
    await parts.state.log_run(started_at, totals, parts.clock())
    serial = await parts.state.synced_serial()
    parts.audience.did(Done(totals.projects, totals.files, totals.fetched, totals.errors, serial))
