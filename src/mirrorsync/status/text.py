"""The status in plain words, and in a monitoring plugin's."""

import time
from collections.abc import Iterator
from typing import Final

from mirrorsync.cli.render import aligned
from mirrorsync.model.units import format_size
from mirrorsync.model.wording import brief, counted
from mirrorsync.state.report import Report, RunRow, Unmet
from mirrorsync.status.document import lag_serials
from mirrorsync.status.forecast import NoForecast
from mirrorsync.status.health import Health, Level, Limits, Reason, downloads_wait, foretold, is_silent
from mirrorsync.status.host import Host
from mirrorsync.status.lag import behind, failing, lag

_NEVER_ASKED: Final = "unknown (upstream has not answered yet)"
_NAMED: Final = 20
"""Failing projects that are shown to a person; --json has more."""
_NAMED_UNTRIED: Final = 3
"""Projects that are shown of those whose turn has not come yet."""
_LONGEST_REASON: Final = 250
"""Characters of one reason in the first line."""


def verdict(level: Level, reasons: tuple[Reason, ...], otherwise: str = "") -> str:
    """Return the first line: all that a monitoring system shows of it."""
    told = "; ".join(_shortened(reason.text) for reason in reasons)
    return f"MIRRORSYNC {level.name} - {told or otherwise}"


def all_well(found: Report, now: float) -> str:
    """Return what there is to say of a mirror that is well."""
    late, whole = behind(found, now), lag(found, now)
    fresh = "never complete" if late is None else f"as upstream was {brief(late)} ago"
    held = len(failing(found))
    but = f", but for {counted(held, 'page')} that a cache in front of upstream holds back" if held else ""
    if not held and whole is not None and late is not None and late < whole:
        but = f"; {counted(found.unmet_count, 'project')} on the way"
    serial = "" if found.synced_serial is None else f", synced to serial {found.synced_serial}"
    return (
        f"{fresh}{but}{serial}, {counted(found.projects, 'project')},"
        f" {counted(found.files, 'file')} ({format_size(found.bytes)})"
    )


def perfdata(found: Report, around: Host, limits: Limits, now: float) -> str:
    """Return the figures as monitoring plugins write them: label=value[unit];warning;critical;minimum."""
    figures = [
        ("lag", "s", behind(found, now), f";{limits.warning:.0f};{limits.critical:.0f};0"),
        ("complete_lag", "s", lag(found, now), ";;;0"),
        ("serials", "", lag_serials(found), ";;;0"),
        ("unmet", "", found.unmet_count, ";;;0"),
        ("failing", "", len(failing(found)), ";;;0"),
        ("projects", "", found.projects, ";;;0"),
        ("files", "", found.files, ";;;0"),
        ("bytes", "B", found.bytes, ";;;0"),
        *(("free", "B", disk.free, f";;{limits.min_free}:;0;{disk.total}") for disk in around.disks[:1]),
    ]
    # "U": a figure that cannot be told.
    return " ".join(
        f"{label}=U" if value is None else f"{label}={value:.0f}{unit}{rest}" for label, unit, value, rest in figures
    )


def describe(found: Report, around: Host, judgement: Health, limits: Limits, now: float) -> Iterator[str]:
    """Yield the status as lines for a person, without the first one."""
    rows = [
        ("state", judgement.level.name.lower()),
        *(("", line) for line in _reasons(judgement)),
        ("upstream", found.upstream),
        ("synced serial", _serial(found)),
        ("newest serial", _or_unknown(found.newest_serial, "no page carries one")),
        ("upstream serial", _upstream_serial(found)),
        ("lag", _lag(found, now)),
        ("last complete", ago(found.complete_at, now)),
        ("last asked", ago(found.polled_at, now)),
        ("at work", _at_work(found, around, limits, now)),
        ("projects", f"{found.projects:,}"),
        ("files", f"{found.files:,} ({format_size(found.bytes)}, sidecars not counted)"),
        ("to be deleted", f"{counted(found.condemned, 'object')}, after their grace"),
        *_disks(found, around, limits),
        ("audit", _audit(found, now)),
        ("unmet", counted(found.unmet_count, "project")),
        *_sinks(found, now),
    ]
    yield from aligned(rows)
    yield from _unmet(found, now)
    yield from _runs(found, now)


def _reasons(judgement: Health) -> Iterator[str]:
    told = judgement.reasons
    for reason in told:
        if len(told) > 1 or reason.text != _shortened(reason.text):
            yield f"{reason.level.name.lower()}: {reason.text}"
        if reason.hint:
            yield f"hint: {reason.hint}"


def ago(moment: float | None, now: float) -> str:
    """Return how long ago that was, and when."""
    if moment is None:
        return "never"
    stamp = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(moment))
    if moment > now + 1:
        return f"in {brief(moment - now)} by this machine's clock ({stamp}): one of the two is wrong"
    return f"{brief(max(0.0, now - moment))} ago ({stamp})"


def _shortened(text: str) -> str:
    # "|" begins the figures in a monitoring plugin's line.
    text = text.replace("|", "/")
    return text if len(text) <= _LONGEST_REASON else f"{text[: _LONGEST_REASON - 1]}…"


def _serial(found: Report) -> str:
    if found.polled_at is None:
        return _NEVER_ASKED
    if found.synced_serial is None:
        return "unknown (upstream tells no serial of its own; every named project is asked for at each sync)"
    return f"{found.synced_serial} (everything up to it is served; {counted(lag_serials(found) or 0, 'serial')} behind)"


def _upstream_serial(found: Report) -> str:
    if found.polled_at is None:
        return _NEVER_ASKED
    return _or_unknown(found.upstream_serial, "upstream gives no changelog and no root list")


def _lag(found: Report, now: float) -> str:
    whole, late = lag(found, now), behind(found, now)
    if whole is None:
        return "the mirror was never complete" + (
            f"; all but {counted(found.unmet_count, 'project')} as upstream was {brief(late)} ago" if late else ""
        )
    if late is not None and late < whole and failing(found):
        some = counted(len(failing(found)), "failing project")
        return f"{brief(late)}, but for {some} ({brief(whole)} since all was complete)"
    return f"{brief(whole)} since all was complete"


def _at_work(found: Report, around: Host, limits: Limits, now: float) -> str:
    if around.at_work is None:
        return "cannot be told: this user may not read the lock"
    if not around.at_work:
        return "nobody: neither a daemon nor a sync is running"
    who = f"process {around.process}" if around.process else "a daemon or a sync"
    return f"{who}{', but upstream does not answer it' if is_silent(found, limits, now) else ''}"


def _sinks(found: Report, now: float) -> Iterator[tuple[str, str]]:
    for sink in found.sinks:
        waiting = "everything" if sink.everything else counted(sink.waiting, "change")
        owed = f"; {waiting} to be told" if sink.everything or sink.waiting else ""
        tried = f", {counted(sink.attempts, 'failed attempt')}: {sink.last_error}" if sink.attempts else ""
        yield "told", f"{sink.name}: {ago(sink.told_at, now)}{owed}{tried}"


def _disks(found: Report, around: Host, limits: Limits) -> Iterator[tuple[str, str]]:
    for number, disk in enumerate(around.disks):
        free = f"{format_size(disk.free)} of {format_size(disk.total)} free on the disk of {disk.path}"
        if number:
            yield "", free
            continue
        waits = "downloads wait" if downloads_wait(disk, limits) else "downloads go on"
        yield "disk", f"{free}; {waits} (min-free {format_size(limits.min_free)})"
        ahead = foretold(found, disk, limits)
        if isinstance(ahead, NoForecast):
            yield "disk full", f"cannot be foretold: {ahead.why}"
        elif ahead.seconds_left == float("inf"):
            yield "disk full", "not within a century at this pace"
        else:
            pace = f"{format_size(round(ahead.bytes_a_day))} a day, by the last {brief(found.growth.seconds)}"
            yield "disk full", f"in about {brief(ahead.seconds_left)} ({pace})"


def _audit(found: Report, now: float) -> str:
    audit = found.audit
    if audit.began_at is None:
        return "begins with the next sync"
    share = min(100.0, 100 * audit.done / max(1, found.projects))
    last = "no whole round yet" if audit.audited_at is None else f"last whole round ended {ago(audit.audited_at, now)}"
    return f"{audit.done} of {found.projects} projects ({share:.0f} %) asked for in this round; {last}"


def _or_unknown(serial: int | None, why: str) -> str:
    return f"unknown ({why})" if serial is None else str(serial)


def _unmet(found: Report, now: float) -> Iterator[str]:
    if found.unmet:
        yield ""
    shown = [*failing(found)[:_NAMED], *[row for row in found.unmet if not row.attempts][:_NAMED_UNTRIED]]
    for row in shown:
        yield f"{row.name}: {_wanted(row)}, {_tried(row, now)}"
        if row.error:
            yield f"  {row.error}"
        if row.hint:
            yield f"  hint: {row.hint}"
    if found.unmet_count > len(shown):
        yield f"… and {found.unmet_count - len(shown)} more: mirrorsync status --json"


def _wanted(row: Unmet) -> str:
    mirrored = "never mirrored" if row.mirrored is None else f"mirrored at {row.mirrored}"
    return f"wanted {row.wanted}, {mirrored}"


def _tried(row: Unmet, now: float) -> str:
    wait = row.next_attempt_at - now
    when = f"again in {brief(wait)}" if wait >= 1 else "due now"
    since = "" if row.failing_since is None else f"; failing for {brief(max(0.0, now - row.failing_since))}"
    tried = counted(row.attempts, "attempt") if row.attempts else "not tried yet"
    return f"{tried}, {when}{since}"


def _runs(found: Report, now: float) -> Iterator[str]:
    if found.runs:
        yield ""
        yield "last runs"
    for row in found.runs:
        yield f"  {_run(row, now)}"


def _run(row: RunRow, now: float) -> str:
    note = f"; halted: {row.note}" if row.note else ""
    return (
        f"{ago(row.ended_at, now)}: {counted(row.projects, 'project')},"
        f" {counted(row.files, 'file')} ({format_size(row.bytes)}),"
        f" {row.errors} failed, took {brief(max(0.0, row.ended_at - row.started_at))}{note}"
    )
