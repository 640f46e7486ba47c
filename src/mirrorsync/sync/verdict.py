"""What follows from a failure: the one function that maps errors to outcomes."""

from typing import Final

from mirrorsync.errors import MirrorsyncError, ProjectGone, StalePage
from mirrorsync.model.outcome import Failed
from mirrorsync.state.progress import Work
from mirrorsync.sync.project import REPEAT_AFTER

_STALE: Final = (2.0, 5.0, 15.0, 60.0, 300.0, 600.0, 1800.0, 3600.0)
"""Seconds between attempts at a page that a cache holds back; the last one repeats (caches live a day)."""


def judge(error: MirrorsyncError, work: Work, *, now: float) -> Failed:
    """Return the outcome of a project that failed with `error`, which does not halt the run.

    The delay is upstream's own where it gave one, the stale ladder, the time after which a 404 is worth
    repeating, or else the state's back-off.
    """
    delay = error.retry_after
    hint = error.hint
    if isinstance(error, StalePage):
        delay = _STALE[min(work.attempts, len(_STALE) - 1)]
        hint = hint or "a cache in front of upstream is behind; it is asked again, nothing to do"
    elif isinstance(error, ProjectGone):
        waited = 0.0 if work.gone_at is None else now - work.gone_at
        delay = max(REPEAT_AFTER - waited, 60.0 * (1 + work.attempts) if work.attempts else REPEAT_AFTER)
        hint = hint or (
            "it was mirrored before: it is removed once a second witness agrees"
            if work.present
            else "check the spelling in [select] projects; a project made minutes ago can still be cached as absent"
        )
    return Failed(name=work.name, error=str(error), hint=hint, delay=delay, kind=type(error).__name__)
