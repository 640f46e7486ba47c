"""What follows from a failure: one function maps errors to outcomes."""

from collections.abc import Mapping
from typing import Final

from mirrorsync.errors import (
    LowSpace,
    Malformed,
    MirrorsyncError,
    Missing,
    ProjectGone,
    Recovery,
    StalePage,
    StoreUnreachable,
    Throttled,
    Truncated,
    Unreachable,
    WrongDigest,
    WrongSize,
)
from mirrorsync.model.outcome import Failed, Shared
from mirrorsync.model.reason import reason_of
from mirrorsync.state.progress import ProjectRow
from mirrorsync.sync.removal import REPEAT_AFTER

_STALE: Final = (2.0, 5.0, 15.0, 60.0, 300.0, 600.0, 1800.0, 3600.0)
"""Seconds between attempts at a stale page; the last one repeats (caches keep pages for a day)."""
_ALIKE: Final = (25.0, 30.0, 30.0, 45.0, 45.0, 60.0, 300.0, 900.0, 3600.0)
"""Seconds between attempts where the cause is not the project itself: when it ends, all affected projects are behind.
A long outage stops the pool, so few projects reach the longer waits; a single pass waits for none of these attempts."""
_COMMON: Final = (LowSpace, StoreUnreachable, Throttled, Truncated, Unreachable)
_HINTS: Final[Mapping[type[MirrorsyncError], str]] = {
    StalePage: "a cache in front of upstream is behind; the page is requested again automatically, up to a day",
    Missing: "upstream's file host lacks a file that its page names, often only for minutes; the project stays as"
    " it is until the file is there",
    WrongDigest: "nothing of it was published; the usual cause is a proxy that rewrites archives, otherwise a damaged"
    " or hostile upstream",
    WrongSize: "nothing of it was published; the usual cause is a proxy that rewrites or truncates bodies",
    Truncated: "the connection broke repeatedly; the download is retried automatically",
    Malformed: "the project stays as it is; look at what that address answers",
    Unreachable: "look at the network and at upstream's status page; the request is retried automatically",
}


def judge(error: MirrorsyncError, row: ProjectRow, *, now: float) -> Failed:
    """Return the outcome of a project that failed with `error`, which does not halt the run."""
    return Failed(
        name=row.name,
        error=str(error),
        hint=_hint(error, row),
        delay=_delay(error, row, now),
        reason=reason_of(error),
        waits_for=_waits_for(error),
    )


def _hint(error: MirrorsyncError, row: ProjectRow) -> str:
    if isinstance(error, ProjectGone):
        if row.present:
            return "it was mirrored before: it is removed once a second source confirms it"
        return "check the spelling; a project made minutes ago can still be cached as absent"
    return error.hint or next((text for kind, text in _HINTS.items() if isinstance(error, kind)), "")


def _delay(error: MirrorsyncError, row: ProjectRow, now: float) -> float | None:
    """Return the seconds until the next attempt; None for the state's own back-off, for failures of one project."""
    if isinstance(error, StalePage):
        return _STALE[min(row.attempts, len(_STALE) - 1)]
    if isinstance(error, ProjectGone):
        waited = 0.0 if row.gone_at is None else now - row.gone_at
        return max(REPEAT_AFTER - waited, 60.0 * (1 + row.attempts) if row.attempts else REPEAT_AFTER)
    if error.retry_after is not None:
        return error.retry_after
    return _ALIKE[min(row.attempts, len(_ALIKE) - 1)] if isinstance(error, _COMMON) else None


def _waits_for(error: MirrorsyncError) -> Shared | None:
    if isinstance(error, LowSpace):
        return "space"
    # Where upstream states a delay, or refuses the mirror, no project is retried earlier.
    is_outage = isinstance(error, Unreachable | Truncated) and error.recovery is Recovery.RETRY
    return "outage" if is_outage and error.retry_after is None else None
