"""What the ledger knows, as the status page says it. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from mirrorsync import __version__
from mirrorsync.state.history import Stretch
from mirrorsync.state.report import Report, RunRow
from mirrorsync.status.lag_history import KEPT, SPAN, LagHistory
from mirrorsync.status.page_values import LATE, Audit, Bar, LastRun, Page, UnmetProject
from mirrorsync.sync.policy import Policy

_LOOKS: Final = 3
"""Looks at upstream without an answer, or without all being met, after which a mirror is late."""
_MOMENT: Final = 60.0
"""Seconds that they take, and are apart by chance."""


def page_of(
    report: Report,
    policy: Policy,
    now: float,
    *,
    next_run_at: float | None,
    lags: LagHistory,
    done: Sequence[Stretch],
) -> Page:
    """Return what the status page says."""
    return Page(
        name=policy.name,
        upstream=report.upstream,
        version=__version__,
        generated_at=now,
        next_run_at=next_run_at,
        late_after=max(LATE, _LOOKS * policy.poll_interval + _MOMENT),
        simple_url=None if policy.root_url is None else f"{policy.root_url}/simple/",
        holds_all=not policy.selection.projects and not policy.selection.exclude,
        holds_files=policy.files,
        synced_serial=report.synced_serial,
        upstream_serial=report.upstream_serial,
        complete_at=report.complete_at,
        polled_at=report.polled_at,
        projects=report.projects,
        files=report.files,
        bytes=report.bytes,
        unmet_count=report.unmet_count,
        unmet=tuple(
            UnmetProject(
                name=row.name, reason=row.error or "", attempts=row.attempts, next_attempt_at=row.next_attempt_at
            )
            for row in report.unmet[:100]
        ),
        audit=Audit(began_at=report.audit.began_at, done=report.audit.done, ended_at=report.audit.audited_at),
        last_run=_last_run(report.runs),
        bars=tuple(bars(lags.worst, done, now)),
    )


def _last_run(runs: Sequence[RunRow]) -> LastRun | None:
    """Return the newest run that did something, where one is near: nearly all of a daemon's have nothing to do."""
    if not runs:
        return None
    newest = runs[0]
    told = newest if newest.note else next((run for run in runs if run.projects), newest)
    return LastRun(
        started_at=told.started_at,
        ended_at=told.ended_at,
        projects=told.projects,
        files=told.files,
        bytes=told.bytes,
        errors=told.errors,
        ended_early=newest.note is not None,
        needs_person=newest.needs_person,
    )


def bars(lags: Mapping[int, float], done: Sequence[Stretch], now: float) -> Iterator[Bar]:
    """Yield the stretches of the last days in order; `done` tells from when on the history of runs reaches."""
    by_number = {stretch.number: stretch for stretch in done}
    first = min((stretch.first_started_at for stretch in done), default=now)
    newest = int(now // SPAN)
    for number in range(newest - KEPT + 1, newest + 1):
        stretch = by_number.get(number)
        bar = Bar(starts_at=number * SPAN, lag=lags.get(number), is_recorded=(number + 1) * SPAN > first)
        if stretch is not None:
            bar = Bar(
                starts_at=bar.starts_at,
                lag=bar.lag,
                is_recorded=True,
                files=stretch.files,
                bytes=stretch.bytes,
                errors=stretch.errors,
            )
        yield bar
