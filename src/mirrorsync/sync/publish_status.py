"""What a mirror leaves in its tree: how fresh it is, for people, for scripts and for other mirrors."""

import time
from typing import Final

import msgspec
from msgspec.structs import replace

from mirrorsync import __version__
from mirrorsync.model.identity import StorePath
from mirrorsync.state.report import Report
from mirrorsync.status import lag_history, tunasync
from mirrorsync.status import trace as trace_chain
from mirrorsync.status.document import status_document
from mirrorsync.status.page import render
from mirrorsync.status.page_facts import page_of
from mirrorsync.sync.context import SyncContext

_HISTORY: Final = StorePath("mirrorsync/history.json")
_HISTORY_LIMIT: Final = 1 << 20
"""Bytes: ours has some 5 KB; what is larger is not ours."""


async def publish_status(context: SyncContext, *, root_is_owed: bool, next_run_at: float | None = None) -> None:
    """Publish the status (for people, for programs), and that this is complete when it is and its root index says so.

    `last-modified`, `lastsync` and `mirrorsync/trace.json` tell the time of the last complete sync (UTC), in the forms
    that mirror tools have always written. `root_is_owed`: the root index that stands may be behind what is served.
    `next_run_at`: seconds since the epoch; None where runs are started from outside.
    """
    now = context.clock()
    report = await context.state.report()
    mirror = await context.state.mirror()
    if (mirror.root_version, report.synced_serial) != (mirror.root_published_version, mirror.published_serial):
        root_is_owed = True  # something was recorded since the root index was written
    lags = (await _history(context)).observed(report.complete_at, now)
    done = await context.state.stretches(span=lag_history.SPAN, since=now - lag_history.KEPT * lag_history.SPAN)
    page = page_of(report, context.policy, now, next_run_at=next_run_at, lags=lags, done=done)
    rendered = render(page)
    document = msgspec.json.encode(status_document(_for_everybody(report), now))
    objects = [
        (StorePath("mirrorsync/status.json"), msgspec.json.format(document, indent=1) + b"\n"),
        (_HISTORY, lags.encode()),
        (StorePath("mirrorsync/index.html"), rendered.body),
    ]
    if not root_is_owed:
        objects.append((StorePath("mirrorsync/tunasync.json"), tunasync.document(page, rendered.verdict.level)))
    if report.complete_at is not None and not root_is_owed:
        stamp = time.strftime("%Y%m%dT%H:%M:%S\n", time.gmtime(report.complete_at))
        objects.append((StorePath("last-modified"), stamp.encode()))
        objects.append((StorePath("lastsync"), b"%d\n" % report.complete_at))
    await context.store.publish_all(objects)
    if report.complete_at is not None and not root_is_owed:
        # After all else: upstream may take its time to answer.
        await context.store.publish(
            StorePath("mirrorsync/trace.json"), await _trace(context, report, report.complete_at)
        )


def _for_everybody(report: Report) -> Report:
    """Return the report without what ended runs early, which is between the operator and the machine."""
    return replace(report, runs=tuple(replace(run, note=None) for run in report.runs))


async def _history(context: SyncContext) -> lag_history.LagHistory:
    standing = await context.store.stat(_HISTORY)
    if standing is None or standing.size > _HISTORY_LIMIT:
        return lag_history.LagHistory()
    return lag_history.decode(b"".join([chunk async for chunk in context.store.read(_HISTORY)]))


async def _trace(context: SyncContext, report: Report, complete_at: float) -> bytes:
    own = trace_chain.hop(
        name=context.policy.name,
        software=f"mirrorsync {__version__}",
        complete_at=complete_at,
        upstream=report.upstream,
        serial=report.synced_serial,
    )
    # Another mirrorsync has no journal to ask for, and tells its serial in its root list.
    may_be_a_mirror = not report.has_journal and report.synced_serial is not None
    above = await context.upstream.trace() if may_be_a_mirror else b""
    return trace_chain.encode(own, trace_chain.decode(above))
