"""The daemon's status line, which `systemctl status` shows."""

import time
from collections.abc import Sequence

from mirrorsync.state.mirror_row import Summary
from mirrorsync.sync.context import SyncContext
from mirrorsync.sync.daemon_loop import DaemonLoop


def describe(summary: Summary, loop: DaemonLoop, context: SyncContext, stuck: Sequence[str]) -> str:
    """Return the line; while nothing happens it changes at most once a minute."""
    parts = [_serial(summary, loop)]
    if summary.unmet or loop.in_flight:
        parts.append(f"{summary.unmet} unmet, {loop.in_flight} under way")
    if summary.unmet or (loop.trouble is not None and summary.complete_at is not None):
        parts.append(_lag(summary, context.clock()))
    if loop.trouble is not None:
        times = f" ({loop.schedule.failures} times)" if loop.schedule.failures > 1 else ""
        parts.append(f"upstream fails{times}: {loop.trouble}")
    if stuck:
        parts.append(f"STUCK, withholding watchdog pings: {', '.join(stuck)}")
    return "; ".join(parts)


def _serial(summary: Summary, loop: DaemonLoop) -> str:
    if summary.synced_serial is None:
        return "following" if summary.complete_at is not None else "first pass"
    if summary.upstream_serial is not None and summary.upstream_serial > summary.synced_serial:
        return f"serial {summary.synced_serial} of {summary.upstream_serial}"
    return f"serial {summary.synced_serial}" + ("" if summary.unmet or loop.trouble else ", as upstream")


def _lag(summary: Summary, now: float) -> str:
    if summary.complete_at is None:
        return "never complete so far"
    minutes = int((now - summary.complete_at) // 60)
    if minutes < 1:
        return "complete less than a minute ago"
    if minutes < 120:  # noqa: PLR2004 -- from here on hours say more
        return f"last complete {minutes} min ago"
    return f"last complete {time.strftime('%Y-%m-%d %H:%M', time.gmtime(summary.complete_at))} UTC"
