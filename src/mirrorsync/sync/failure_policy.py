"""What follows from a failure: the one function that maps errors to outcomes."""

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
"""Seconds between attempts at a page that a cache holds back; the last one repeats (caches live a day)."""
_ALIKE: Final = (25.0, 30.0, 30.0, 45.0, 45.0, 60.0, 300.0, 900.0, 3600.0)
"""Seconds between attempts where the cause is nothing of the project's own: when it ends, all who met it are behind.
A long outage stops the pool, so that few ever climb high; a single pass waits for none of them (feed)."""
_COMMON: Final = (LowSpace, StoreUnreachable, Throttled, Truncated, Unreachable)
_HINTS: Final[Mapping[type[MirrorsyncError], str]] = {
    StalePage: "a cache in front of upstream is behind; it is asked again by itself, for a day if need be",
    Missing: "upstream's file host lacks a file that its page names, often for minutes only; the project stays as"
    " it was until it is there",
    WrongDigest: "nothing of it was published; a proxy that rewrites archives is the usual cause, a damaged or"
    " hostile upstream the other one",
    WrongSize: "nothing of it was published; a proxy that rewrites or cuts bodies is the usual cause",
    Truncated: "the connection broke again and again; it is tried again by itself",
    Malformed: "the project stays as it was; look at what that address answers",
    Unreachable: "look at the network and at upstream's status page; it is tried again by itself",
}


def judge(error: MirrorsyncError, work: ProjectRow, *, now: float) -> Failed:
    """Return the outcome of a project that failed with `error`, which does not halt the run."""
    return Failed(
        name=work.name,
        error=str(error),
        hint=_hint(error, work),
        delay=_delay(error, work, now),
        reason=reason_of(error),
        waits_for=_waits_for(error),
    )


def _hint(error: MirrorsyncError, work: ProjectRow) -> str:
    if isinstance(error, ProjectGone):
        if work.present:
            return "it was mirrored before: it is removed once a second witness agrees"
        return "check the spelling; a project made minutes ago can still be cached as absent"
    return error.hint or next((text for kind, text in _HINTS.items() if isinstance(error, kind)), "")


def _delay(error: MirrorsyncError, work: ProjectRow, now: float) -> float | None:
    """Return the seconds until the next attempt, None for the state's own back-off.

    It is upstream's own delay where it gave one, the stale ladder, the time after which a 404 is worth repeating, or
    short where all projects would fail alike.
    """
    if isinstance(error, StalePage):
        return _STALE[min(work.attempts, len(_STALE) - 1)]
    if isinstance(error, ProjectGone):
        waited = 0.0 if work.gone_at is None else now - work.gone_at
        return max(REPEAT_AFTER - waited, 60.0 * (1 + work.attempts) if work.attempts else REPEAT_AFTER)
    if error.retry_after is not None:
        return error.retry_after
    return _ALIKE[min(work.attempts, len(_ALIKE) - 1)] if isinstance(error, _COMMON) else None


def _waits_for(error: MirrorsyncError) -> Shared | None:
    if isinstance(error, LowSpace):
        return "space"
    # Where upstream says when it wants to be asked again, or refuses us, nobody is woken before.
    is_outage = isinstance(error, Unreachable | Truncated) and error.recovery is Recovery.RETRY
    return "outage" if is_outage and error.retry_after is None else None
