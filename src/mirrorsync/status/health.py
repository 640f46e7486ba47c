"""Whether the mirror is well, and why not: one judgement for `status`, in the words of a person. Pure.

Critical is what does not get better by itself, or has lasted too long; a warning is what may, and is worth a look by
day. Nothing here knows where a fact comes from.
"""

from collections.abc import Iterator
from enum import IntEnum
from typing import Final

import msgspec

from mirrorsync.model.units import format_size
from mirrorsync.model.wording import brief, counted
from mirrorsync.state.report import Report, RunRow
from mirrorsync.status.forecast import Forecast, NoForecast, forecast
from mirrorsync.status.host import Disk, Host
from mirrorsync.status.lag import behind, failing

_HARDLY_ANY_ROOM: Final = 1 << 20
"""Bytes below which a disk is full, whatever `min-free` says."""
_HARDLY_ANY_INODES: Final = 1000
_SOON_FULL: Final = 7 * 86_400.0
"""Seconds: time enough to buy disks."""
_ROOM_HINT: Final = (
    "free space elsewhere on it, or enlarge it; nothing was lost, and mirrorsync goes on once there is room"
)
_START_HINT: Final = (
    "`systemctl status mirrorsync` and its journal say why it ended; `mirrorsync sync` makes one pass at once"
)
_SILENT_HINT: Final = "look at the network and at upstream's status page; it is asked again by itself"
_SINK_ATTEMPTS: Final = 4
"""Attempts in a row that failed (a minute and a half) after which somebody should look."""
_SINK_HINT: Final = "until then it may show or serve old pages; nothing is lost, it is told as soon as it listens"
_LIST_HINT: Final = (
    "nothing is removed on its word; if upstream really removed them, agree once with"
    " `mirrorsync sync --allow-removals`"
)
_SILENT_POLLS: Final = 3
"""Polls without an answer after which upstream is called silent."""


class Level(IntEnum):
    """What monitoring plugins return."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


class Limits(msgspec.Struct, frozen=True):
    """Seconds of lag that are too many."""

    warning: float = 3600.0
    critical: float = 86_400.0
    poll_interval: float = 60.0
    min_free: int = 0
    """Bytes."""


class Reason(msgspec.Struct, frozen=True):
    """One thing that is not as it should be."""

    level: Level
    text: str
    hint: str = ""
    """What a person can do; empty: it is said elsewhere, or it goes on by itself."""


class Health(msgspec.Struct, frozen=True):
    """What to think of the mirror."""

    level: Level
    reasons: tuple[Reason, ...]
    """The worst first; none where all is well."""


def judge(report: Report, around: Host, limits: Limits, now: float) -> Health:
    """Return the judgement; `now` in seconds since the epoch."""
    found = [
        *_halted(report, around),
        *_disks(report, around, limits),
        *_lag(report, around, limits, now),
        *_list(report),
        *_failing(report, limits, now),
        *_sinks(report, now),
    ]
    found.sort(key=lambda reason: -reason.level)
    return Health(level=max((reason.level for reason in found), default=Level.OK), reasons=tuple(found))


def foretold(report: Report, disk: Disk, limits: Limits) -> Forecast | NoForecast:
    """Return when downloads will have to wait for room."""
    if report.complete_at is None:
        return NoForecast("not enough history: the mirror was never complete")
    return forecast(report.growth, stored=report.bytes, room=disk.free - limits.min_free)


def is_silent(report: Report, limits: Limits, now: float) -> bool:
    """Return whether upstream was asked in vain, or not at all, for longer than a few polls take."""
    return report.polled_at is None or now - report.polled_at > _SILENT_POLLS * limits.poll_interval + 60


def _halted(report: Report, around: Host) -> Iterator[Reason]:
    last: RunRow | None = report.runs[0] if report.runs else None
    if last is None or not last.needs_person:
        return
    again = around.at_work is True
    yield Reason(
        Level.WARNING if again else Level.CRITICAL,
        f"the last run was halted: {last.note}" + ("; another one is under way" if again else ""),
        "mend that, then start mirrorsync again; the next run goes on where this one stopped",
    )


def full_disks(around: Host) -> Iterator[Reason]:
    """Yield the disks on which nothing more can be written."""
    for disk in around.disks:
        if disk.free < _HARDLY_ANY_ROOM:
            text = f"the disk of {disk.path} is full ({format_size(disk.free)} free)"
            yield Reason(Level.CRITICAL, text, _ROOM_HINT)
        elif disk.inodes_free < _HARDLY_ANY_INODES:
            text = f"the disk of {disk.path} has only {disk.inodes_free} inodes left"
            yield Reason(Level.CRITICAL, text, _ROOM_HINT)


def downloads_wait(disk: Disk, limits: Limits) -> bool:
    """Return whether there is too little room to download anything."""
    return disk.free < max(limits.min_free, _HARDLY_ANY_ROOM)


def _disks(report: Report, around: Host, limits: Limits) -> Iterator[Reason]:
    full = tuple(full_disks(around))
    yield from full
    for disk in around.disks[:1] if not full else ():
        if downloads_wait(disk, limits):
            free = f"{format_size(disk.free)} free, min-free is {format_size(limits.min_free)}"
            yield Reason(Level.CRITICAL, f"downloads wait for room: {free}", _ROOM_HINT)
            continue
        ahead = foretold(report, disk, limits)
        if isinstance(ahead, Forecast) and ahead.seconds_left < _SOON_FULL:
            pace = f"{format_size(round(ahead.bytes_a_day))} a day"
            text = f"the disk will be full in about {brief(ahead.seconds_left)} ({pace})"
            yield Reason(Level.WARNING, text, "enlarge the disk, or select less, before downloads have to wait")


def _list(report: Report) -> Iterator[Reason]:
    if report.audit.list_refused is not None:
        yield Reason(Level.WARNING, report.audit.list_refused, _LIST_HINT)


def _sinks(report: Report, now: float) -> Iterator[Reason]:
    for sink in report.sinks:
        if sink.attempts >= _SINK_ATTEMPTS:
            last = "never" if sink.told_at is None else f"{brief(max(0.0, now - sink.told_at))} ago"
            why = (sink.last_error or "it does not answer").removeprefix(sink.name).strip()
            text = f"{sink.name} cannot be told of changes, and last was {last}: {why}"
            yield Reason(Level.WARNING, text, _SINK_HINT)


def _lag(report: Report, around: Host, limits: Limits, now: float) -> Iterator[Reason]:
    late = behind(report, now)
    if late is None:
        yield Reason(Level.CRITICAL, _never(report, around, limits, now), _start_hint(around))
        return
    level = _beyond(late, limits)
    if level is Level.OK:
        return
    text = f"{brief(late)} behind upstream; {_why_late(report, around, limits, now)}"
    yield Reason(level, text, _start_hint(around) or (_SILENT_HINT if is_silent(report, limits, now) else ""))


def _start_hint(around: Host) -> str:
    return _START_HINT if around.at_work is False else ""


def _never(report: Report, around: Host, limits: Limits, now: float) -> str:
    if report.polled_at is None:
        return f"never complete: upstream has not answered yet; {_who(around)}"
    left = f"{counted(report.unmet_count, 'project')} to go"
    return f"never complete: {left}, {report.projects} served; {_why_late(report, around, limits, now)}"


def _why_late(report: Report, around: Host, limits: Limits, now: float) -> str:
    if around.at_work is False:
        note = report.runs[0].note if report.runs else None
        return f"the last run was halted: {note}" if note else _who(around)
    if report.polled_at is not None and is_silent(report, limits, now):
        return f"upstream has not answered for {brief(now - report.polled_at)}; {_who(around)}"
    if report.unmet_count:
        return f"{counted(report.unmet_count, 'project')} unmet; {_who(around)}"
    return _who(around)


def _who(around: Host) -> str:
    if around.at_work is None:
        return "whether a daemon is at work cannot be told"
    return "a daemon or a sync is at work" if around.at_work else "neither a daemon nor a sync is running"


def _failing(report: Report, limits: Limits, now: float) -> Iterator[Reason]:
    rows = failing(report)
    held = [row for row in rows if row.stale_since is not None]
    troubled = [row for row in rows if row.stale_since is None]
    if troubled:
        first = f" ({troubled[0].error})" if troubled[0].error else ""
        others = f" and {counted(len(troubled) - 1, 'other')}" if len(troubled) > 1 else ""
        text = f"{counted(len(troubled), 'project')} cannot be brought up: {troubled[0].name}{first}{others}"
        yield Reason(Level.WARNING, text)
    longest = max((now - row.stale_since for row in held if row.stale_since is not None), default=0.0)
    if longest > limits.warning:
        text = f"a cache in front of upstream has held {counted(len(held), 'page')} back for {brief(longest)}"
        yield Reason(Level.WARNING, text)


def _beyond(late: float, limits: Limits) -> Level:
    if late > limits.critical:
        return Level.CRITICAL
    return Level.WARNING if late > limits.warning else Level.OK
