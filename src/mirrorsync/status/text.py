"""The status in words for the operator, and in the form of a monitoring plugin. Pure."""

from collections.abc import Iterator
from typing import Final

from mirrorsync.model.units import format_size
from mirrorsync.model.wording import brief, counted, utc
from mirrorsync.state.report import Report, RunRow, Unmet
from mirrorsync.status.document import lag_serials
from mirrorsync.status.forecast import NoForecast
from mirrorsync.status.health import Health
from mirrorsync.status.snapshot import Snapshot

_NOT_POLLED: Final = "unknown (upstream has not answered yet)"
_FAILING_SHOWN: Final = 20
"""Failing projects that are shown; --json has more."""
_UNTRIED_SHOWN: Final = 3
"""Projects that are shown of those that were not tried yet."""
_LONGEST_REASON: Final = 250
"""Characters of one reason in the first line."""


def headline(health: Health, all_well: str = "") -> str:
    """Return the first line, which is all that a monitoring system shows; `all_well` where there is no reason."""
    reasons = "; ".join(_shortened(reason.text) for reason in health.reasons)
    return f"MIRRORSYNC {health.level.name} - {reasons or all_well}"


def all_well(snapshot: Snapshot, health: Health) -> str:
    """Return the rest of the first line of a mirror that is well."""
    report = snapshot.report
    fresh = "never complete" if health.behind is None else f"as upstream was {brief(health.behind)} ago"
    but = ""
    if held := len(health.held_back):
        but = f", but for {counted(held, 'page')} that a cache in front of upstream holds back"
    elif health.lag is not None and health.behind is not None and health.behind < health.lag:
        but = f"; {counted(report.unmet_count, 'project')} on the way"
    serial = "" if report.synced_serial is None else f", synced to serial {report.synced_serial}"
    return (
        f"{fresh}{but}{serial}, {counted(report.projects, 'project')},"
        f" {counted(report.files, 'file')} ({format_size(report.bytes)})"
    )


def not_ready(snapshot: Snapshot, health: Health) -> str:
    """Return why clients should not use this mirror now; empty where it is ready."""
    if health.ready:
        return ""
    unmet = f"{snapshot.report.unmet_count} projects are unmet"
    if health.behind is None:
        return f"this mirror was never complete so far: {unmet}"
    limit = f"the limit is {snapshot.site.ready_within:.0f} s"
    return f"this mirror is {health.behind:.0f} s behind upstream, {limit}: {unmet}"


def readiness(snapshot: Snapshot, health: Health) -> str:
    """Return what /readyz answers: "fresh" or why the mirror is not ready, then the first line of `status`."""
    return f"{not_ready(snapshot, health) or 'fresh'}\n{headline(health, all_well(snapshot, health))}\n"


def perfdata(snapshot: Snapshot, health: Health) -> str:
    """Return the figures as monitoring plugins write them: label=value[unit];warning;critical;minimum."""
    report = snapshot.report
    figures = [
        ("lag", "s", health.behind, f";{health.warn_lag:.0f};{health.critical_lag:.0f};0"),
        ("complete_lag", "s", health.lag, ";;;0"),
        ("serials", "", lag_serials(report), ";;;0"),
        ("unmet", "", report.unmet_count, ";;;0"),
        ("failing", "", len(health.failing), ";;;0"),
        ("projects", "", report.projects, ";;;0"),
        ("files", "", report.files, ";;;0"),
        ("bytes", "B", report.bytes, ";;;0"),
        *(("free", "B", disk.free, f";;{snapshot.site.min_free}:;0;{disk.total}") for disk in snapshot.host.disks[:1]),
    ]
    # "U": the figure is unknown.
    return " ".join(
        f"{label}=U" if value is None else f"{label}={value:.0f}{unit}{rest}" for label, unit, value, rest in figures
    )


def rows(snapshot: Snapshot, health: Health) -> Iterator[tuple[str, str]]:
    """Yield the status as a label and a text, to be shown in two columns."""
    report, now = snapshot.report, snapshot.at
    yield "state", health.level.name.lower()
    yield from (("", line) for line in _reasons(health))
    yield "upstream", report.upstream
    yield "synced serial", _synced_serial(report)
    yield "newest serial", _or_unknown(report.newest_serial, "no page carries one")
    yield "upstream serial", _upstream_serial(report)
    yield "lag", _lag(snapshot, health)
    yield "last complete", ago(report.complete_at, now)
    yield "last asked", ago(report.polled_at, now)
    yield "at work", _at_work(snapshot, health)
    yield "projects", f"{report.projects:,}"
    yield "files", f"{report.files:,} ({format_size(report.bytes)}, sidecars not counted)"
    yield "to be deleted", f"{counted(report.condemned, 'object')}, after the removal grace"
    yield from _disks(snapshot, health)
    yield "audit", _audit(report, now)
    yield "unmet", counted(report.unmet_count, "project")
    yield from _sinks(report, now)


def details(snapshot: Snapshot, health: Health) -> Iterator[str]:
    """Yield the lines below the rows: unmet projects and the last runs."""
    report, now = snapshot.report, snapshot.at
    if report.unmet:
        yield ""
    shown = [*health.failing[:_FAILING_SHOWN], *[row for row in report.unmet if not row.attempts][:_UNTRIED_SHOWN]]
    for row in shown:
        yield f"{row.name}: {_wanted(row)}, {_tried(row, now)}"
        if row.error:
            yield f"  {row.error}"
        if row.hint:
            yield f"  hint: {row.hint}"
    if report.unmet_count > len(shown):
        yield f"… and {report.unmet_count - len(shown)} more: mirrorsync status --json"
    if report.runs:
        yield ""
        yield "last runs"
    for run in report.runs:
        yield f"  {_run(run, now)}"


def ago(moment: float | None, now: float) -> str:
    """Return how long ago that was, and when."""
    if moment is None:
        return "never"
    if moment > now + 1:
        return f"in {brief(moment - now)} by this machine's clock ({utc(moment)}): one of the two is wrong"
    return f"{brief(max(0.0, now - moment))} ago ({utc(moment)})"


def _reasons(health: Health) -> Iterator[str]:
    for reason in health.reasons:
        if len(health.reasons) > 1 or reason.text != _shortened(reason.text):
            yield f"{reason.level.name.lower()}: {reason.text}"
        if reason.hint:
            yield f"hint: {reason.hint}"


def _shortened(text: str) -> str:
    # "|" begins the figures in a monitoring plugin's line.
    text = text.replace("|", "/")
    return text if len(text) <= _LONGEST_REASON else f"{text[: _LONGEST_REASON - 1]}…"


def _synced_serial(report: Report) -> str:
    if report.polled_at is None:
        return _NOT_POLLED
    if report.synced_serial is None:
        return "unknown (upstream has no serial of its own; every named project is checked at each sync)"
    behind = counted(lag_serials(report) or 0, "serial")
    return f"{report.synced_serial} (everything up to it is served; {behind} behind)"


def _upstream_serial(report: Report) -> str:
    if report.polled_at is None:
        return _NOT_POLLED
    return _or_unknown(report.upstream_serial, "upstream has no changelog and no root list")


def _lag(snapshot: Snapshot, health: Health) -> str:
    whole, behind = health.lag, health.behind
    if whole is None:
        unmet = counted(snapshot.report.unmet_count, "project")
        return "the mirror was never complete" + (
            f"; all but {unmet} as upstream was {brief(behind)} ago" if behind else ""
        )
    failing = len(health.failing)
    if behind is not None and behind < whole and failing:
        return f"{brief(behind)}, but for {counted(failing, 'failing project')} ({brief(whole)} since all was complete)"
    return f"{brief(whole)} since all was complete"


def _at_work(snapshot: Snapshot, health: Health) -> str:
    host = snapshot.host
    if host.at_work is None:
        return "unknown: this user may not read the lock"
    if not host.at_work:
        return "nothing: neither a daemon nor a sync is running"
    who = f"process {host.process}" if host.process else "a daemon or a sync"
    return f"{who}{', but upstream does not answer it' if health.silent else ''}"


def _disks(snapshot: Snapshot, health: Health) -> Iterator[tuple[str, str]]:
    for number, disk in enumerate(snapshot.host.disks):
        free = f"{format_size(disk.free)} of {format_size(disk.total)} free on the disk of {disk.path}"
        if number:
            yield "", free
            continue
        waits = "downloads wait" if health.downloads_wait else "downloads go on"
        yield "disk", f"{free}; {waits} (min-free {format_size(snapshot.site.min_free)})"
        yield "disk full", _forecast(snapshot, health)


def _forecast(snapshot: Snapshot, health: Health) -> str:
    ahead = health.forecast
    if ahead is None or isinstance(ahead, NoForecast):
        return f"no forecast: {ahead.why if ahead else 'the disk was not found'}"
    if ahead.seconds_left == float("inf"):
        return "not within a century at this pace"
    pace = f"{format_size(round(ahead.bytes_a_day))} a day, by the last {brief(snapshot.report.growth.seconds)}"
    return f"in about {brief(ahead.seconds_left)} ({pace})"


def _audit(report: Report, now: float) -> str:
    audit = report.audit
    if audit.began_at is None:
        return "begins with the next sync"
    share = min(100.0, 100 * audit.done / max(1, report.projects))
    last = "no round finished yet" if audit.audited_at is None else f"last round ended {ago(audit.audited_at, now)}"
    return f"{audit.done} of {report.projects} projects ({share:.0f} %) checked in this round; {last}"


def _sinks(report: Report, now: float) -> Iterator[tuple[str, str]]:
    for sink in report.sinks:
        waiting = "everything" if sink.everything else counted(sink.waiting, "change")
        pending = f"; {waiting} to deliver" if sink.everything or sink.waiting else ""
        failed = f", {counted(sink.attempts, 'failed attempt')}: {sink.last_error}" if sink.attempts else ""
        yield "notified", f"{sink.name}: {ago(sink.delivered_at, now)}{pending}{failed}"


def _or_unknown(serial: int | None, why: str) -> str:
    return f"unknown ({why})" if serial is None else str(serial)


def _wanted(row: Unmet) -> str:
    mirrored = "never mirrored" if row.mirrored is None else f"mirrored at {row.mirrored}"
    return f"wanted {row.wanted}, {mirrored}"


def _tried(row: Unmet, now: float) -> str:
    wait = row.next_attempt_at - now
    when = f"again in {brief(wait)}" if wait >= 1 else "due now"
    since = "" if row.failing_since is None else f"; failing for {brief(max(0.0, now - row.failing_since))}"
    tried = counted(row.attempts, "attempt") if row.attempts else "not tried yet"
    return f"{tried}, {when}{since}"


def _run(row: RunRow, now: float) -> str:
    note = f"; halted: {row.note}" if row.note else ""
    return (
        f"{ago(row.ended_at, now)}: {counted(row.projects, 'project')},"
        f" {counted(row.files, 'file')} ({format_size(row.bytes)}),"
        f" {row.errors} failed, took {brief(max(0.0, row.ended_at - row.started_at))}{note}"
    )
