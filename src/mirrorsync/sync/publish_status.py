"""Publish how fresh the mirror is: for people, for scripts and for other mirrors."""

from typing import Final

from msgspec.structs import replace

from mirrorsync.model.identity import StorePath
from mirrorsync.model.wording import utc
from mirrorsync.status import lag_history, page, trace, tunasync
from mirrorsync.status.charts import bars
from mirrorsync.status.document import public_document
from mirrorsync.status.health import judge
from mirrorsync.status.snapshot import Snapshot
from mirrorsync.sync.context import SyncContext

_HISTORY: Final = StorePath("mirrorsync/history.json")
_HISTORY_LIMIT: Final = 1 << 20
"""Bytes: ours has some 5 KB; a larger file is not ours."""


async def publish_status(context: SyncContext, *, root_is_owed: bool, next_run_at: float | None = None) -> None:
    """Publish the status, and the stamps of a complete sync when the mirror is complete and its root index current.

    The stamps are `last-modified`, `lastsync` and `mirrorsync/trace.json`: the time of the last complete sync (UTC).
    `root_is_owed`: the published root index may be older than what is served. `next_run_at`: when this process polls
    next, in seconds since the epoch; None where it ends now.
    """
    snapshot = await _snapshot(context, next_run_at)
    health, report = judge(snapshot), snapshot.report
    mirror = await context.state.mirror()
    if (mirror.root_version, report.synced_serial) != (mirror.root_published_version, mirror.published_serial):
        root_is_owed = True  # something was recorded since the root index was written
    lags = (await _history(context)).observed(report.complete_at, snapshot.at)
    since = snapshot.at - lag_history.KEPT * lag_history.SPAN
    done = await context.state.stretches(span=lag_history.SPAN, since=since)
    objects = [
        (StorePath("mirrorsync/status.json"), public_document(snapshot, health)),
        (_HISTORY, lags.encode()),
        (StorePath("mirrorsync/index.html"), page.render(snapshot, health, tuple(bars(lags.worst, done, snapshot.at)))),
    ]
    if not root_is_owed:
        objects.append((StorePath("mirrorsync/tunasync.json"), tunasync.document(snapshot, health)))
    if report.complete_at is not None and not root_is_owed:
        objects.append((StorePath("last-modified"), utc(report.complete_at, "%Y%m%dT%H:%M:%S\n").encode()))
        objects.append((StorePath("lastsync"), b"%d\n" % report.complete_at))
    await context.store.publish_all(objects)
    if report.complete_at is not None and not root_is_owed:
        # Last, because upstream may take its time to answer.
        chain = trace.encode(snapshot, report.complete_at, await _upstream_trace(context, snapshot))
        await context.store.publish(StorePath("mirrorsync/trace.json"), chain)


async def _snapshot(context: SyncContext, next_run_at: float | None) -> Snapshot:
    # A run that ends with this publication is no longer at work when the status is read.
    host = replace(await context.inspect_host(), at_work=next_run_at is not None)
    report = await context.state.report()
    return Snapshot(at=context.clock(), report=report, host=host, site=context.site, next_poll_at=next_run_at)


async def _history(context: SyncContext) -> lag_history.LagHistory:
    found = await context.store.stat(_HISTORY)
    if found is None or found.size > _HISTORY_LIMIT:
        return lag_history.LagHistory()
    return lag_history.decode(b"".join([chunk async for chunk in context.store.read(_HISTORY)]))


async def _upstream_trace(context: SyncContext, snapshot: Snapshot) -> bytes:
    """Return the trace of an upstream that may be a mirror; empty for any other."""
    # Another mirrorsync has no changelog to ask for, and gives its serial in its root list.
    report = snapshot.report
    may_be_a_mirror = not report.has_journal and report.synced_serial is not None
    return await context.upstream.trace() if may_be_a_mirror else b""
