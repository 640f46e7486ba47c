"""How the daemon stands, in one line for people: what `systemctl status` shows."""

import time
from collections.abc import Sequence

from mirrorsync.state.summary import Summary
from mirrorsync.sync.context import SyncContext
from mirrorsync.sync.daemon_loop import DaemonLoop


def describe(glance: Summary, follower: DaemonLoop, context: SyncContext, stuck: Sequence[str]) -> str:
    """Return the line. It changes with what is told, and while nothing happens not more than once a minute."""
    told = [_serial(glance, follower)]
    if glance.unmet or context.in_flight:
        told.append(f"{glance.unmet} unmet, {len(context.in_flight)} under way")
    if glance.unmet or (follower.trouble is not None and glance.complete_at is not None):
        told.append(_lag(glance, context.clock()))
    if follower.trouble is not None:
        times = f" ({follower.rhythm.failures} times)" if follower.rhythm.failures > 1 else ""
        told.append(f"upstream fails{times}: {follower.trouble}")
    if stuck:
        told.append(f"STUCK, the watchdog is left unfed: {', '.join(stuck)}")
    return "; ".join(told)


def _serial(glance: Summary, follower: DaemonLoop) -> str:
    if glance.synced_serial is None:
        return "following" if glance.complete_at is not None else "first pass"
    if glance.upstream_serial is not None and glance.upstream_serial > glance.synced_serial:
        return f"serial {glance.synced_serial} of {glance.upstream_serial}"
    return f"serial {glance.synced_serial}" + ("" if glance.unmet or follower.trouble else ", as upstream")


def _lag(glance: Summary, now: float) -> str:
    if glance.complete_at is None:
        return "never complete so far"
    minutes = int((now - glance.complete_at) // 60)
    if minutes < 1:
        return "complete less than a minute ago"
    if minutes < 120:  # noqa: PLR2004 -- from here on hours say more
        return f"last complete {minutes} min ago"
    return f"last complete {time.strftime('%Y-%m-%d %H:%M', time.gmtime(glance.complete_at))} UTC"
