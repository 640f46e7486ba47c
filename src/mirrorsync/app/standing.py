"""How the daemon stands, in one line for people: what `systemctl status` shows."""

import time
from collections.abc import Sequence

from mirrorsync.state.glance import Glance
from mirrorsync.sync.follow import Follower
from mirrorsync.sync.parts import Parts


def describe(glance: Glance, follower: Follower, parts: Parts, stuck: Sequence[str]) -> str:
    """Return the line. It changes with what is told, and while nothing happens not more than once a minute."""
    told = [_serial(glance, follower)]
    if glance.unmet or parts.in_flight:
        told.append(f"{glance.unmet} unmet, {len(parts.in_flight)} under way")
    if glance.unmet or (follower.trouble is not None and glance.complete_at is not None):
        told.append(_lag(glance, parts.clock()))
    if follower.trouble is not None:
        times = f" ({follower.rhythm.failures} times)" if follower.rhythm.failures > 1 else ""
        told.append(f"upstream fails{times}: {follower.trouble}")
    if stuck:
        told.append(f"STUCK, the watchdog is left unfed: {', '.join(stuck)}")
    return "; ".join(told)


def _serial(glance: Glance, follower: Follower) -> str:
    if glance.synced_serial is None:
        return "following" if glance.complete_at is not None else "first pass"
    if glance.upstream_serial is not None and glance.upstream_serial > glance.synced_serial:
        return f"serial {glance.synced_serial} of {glance.upstream_serial}"
    return f"serial {glance.synced_serial}" + ("" if glance.unmet or follower.trouble else ", as upstream")


def _lag(glance: Glance, now: float) -> str:
    if glance.complete_at is None:
        return "never complete so far"
    minutes = int((now - glance.complete_at) // 60)
    if minutes < 1:
        return "complete less than a minute ago"
    if minutes < 120:  # noqa: PLR2004 -- from here on hours say more
        return f"last complete {minutes} min ago"
    return f"last complete {time.strftime('%Y-%m-%d %H:%M', time.gmtime(glance.complete_at))} UTC"
