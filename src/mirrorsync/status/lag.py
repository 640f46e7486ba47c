"""How late the mirror is, as a whole and but for what fails by itself: one reckoning for all who tell of it. Pure."""

from typing import Final

from mirrorsync.state.report import Report, Unmet

_FEW_IN: Final = 1000
"""One failing project in so many (one at least) is a nuisance; more of them are a sick mirror."""


def failing(report: Report) -> tuple[Unmet, ...]:
    """Return the projects that were tried in vain, as far as the report names them."""
    return tuple(row for row in report.unmet if row.attempts)


def lag(report: Report, now: float) -> float | None:
    """Return how long ago (seconds) the mirror last was as upstream, whole; None: it never was."""
    return None if report.complete_at is None else max(0.0, now - report.complete_at)


def behind(report: Report, now: float) -> float | None:
    """Return the lag (seconds) of all but the few projects that fail by themselves; None: no end can be told.

    Where many fail it is the lag of the whole.
    """
    whole = lag(report, now)
    if report.polled_at is None or not _only_few_fail(report):
        return whole
    since_asked = max(0.0, now - report.polled_at)
    if report.unmet_count == len(failing(report)):
        return since_asked
    if report.waiting_after is None:
        return whole
    rest = max(since_asked, now - report.waiting_after)
    return rest if whole is None else min(rest, whole)


def _only_few_fail(report: Report) -> bool:
    return len(failing(report)) <= max(1, report.projects // _FEW_IN) and len(failing(report)) < max(1, report.projects)
