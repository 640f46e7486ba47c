"""The one judgement of the mirror's health: every level, reason and threshold is defined here and nowhere else. Pure.

`mirrorsync status`, its exit code and JSON, /readyz, the metrics, the status page, status.json and tunasync.json all
render it. Critical: does not improve by itself, or has lasted too long. Warning: may improve by itself.
"""

from collections.abc import Iterable, Iterator
from enum import IntEnum, StrEnum
from typing import Final

import msgspec

from mirrorsync.errors import MirrorsyncError
from mirrorsync.model.units import format_size
from mirrorsync.model.wording import brief, counted
from mirrorsync.state.connection import hides_state
from mirrorsync.state.report import Report, Unmet
from mirrorsync.status.forecast import Forecast, NoForecast, forecast_of
from mirrorsync.status.host import Host
from mirrorsync.status.snapshot import Site, Snapshot

_WARN_LAG: Final = 3600.0
_CRITICAL_LAG: Final = 86_400.0
_SILENT_POLLS: Final = 3
"""Unanswered polls after which, a minute later, upstream counts as silent, and a mirror that polls rarely as late."""
_FEW_IN: Final = 1000
"""One failing project in so many (one at least) does not make the mirror as a whole late."""
_FULL_BELOW: Final = 1 << 20
"""Bytes below which a disk is full, whatever `min-free` says."""
_INODES_BELOW: Final = 1000
_FULL_SOON: Final = 7 * 86_400.0
"""Seconds: time enough to buy disks."""
_SINK_ATTEMPTS: Final = 4
"""Failed deliveries in a row (a minute and a half) after which an operator should look."""

_ROOM_HINT: Final = "free space on it, or enlarge it; nothing was lost, and mirrorsync continues once there is room"
_FILLING_HINT: Final = "enlarge the disk, or select less, before downloads have to wait"
_START_HINT: Final = (
    "`systemctl status mirrorsync` and its journal say why it ended; `mirrorsync sync` runs one pass now"
)
_SILENT_HINT: Final = "look at the network and at upstream's status page; mirrorsync keeps polling"
_SINK_HINT: Final = "it may serve old pages until then; nothing is lost, mirrorsync keeps retrying"
_HALT_HINT: Final = "fix that, then start mirrorsync again; the next run continues where this one stopped"
_LIST_HINT: Final = "nothing was removed; if upstream removed them, allow it once: `mirrorsync sync --allow-removals`"


class Level(IntEnum):
    """The exit codes of a monitoring plugin."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


class ReasonKind(StrEnum):
    """What a reason is about, as a word for labels and scripts."""

    UNREADABLE = "unreadable"  # the state or the configuration cannot be read, or there is no mirror yet
    HALTED = "halted"  # the last run ended by an error that needs a person
    DISK_FULL = "disk_full"  # a disk has no bytes or inodes left
    LOW_ROOM = "low_room"  # downloads wait: less than `min-free` is free
    DISK_FILLING = "disk_filling"  # the disk will be full within a week
    NOT_BEGUN = "not_begun"  # upstream has never answered
    INCOMPLETE = "incomplete"  # the mirror was never complete
    SILENT = "silent"  # late or incomplete, and upstream does not answer or is not polled
    BEHIND = "behind"  # late for any other reason
    LIST_REFUSED = "list_refused"  # the root list left out too many projects to be trusted
    FAILING = "failing"  # projects cannot be mirrored
    HELD_BACK = "held_back"  # an upstream cache serves old pages
    SINK = "sink"  # a cache or listener cannot be notified


_BESIDE_CONTENT: Final = frozenset({ReasonKind.DISK_FILLING, ReasonKind.LIST_REFUSED, ReasonKind.SINK})
"""Reasons that leave what is served complete and current."""


class HealthReason(msgspec.Struct, frozen=True):
    """One thing that is wrong, in words for the operator; public.py has the words for everybody else."""

    kind: ReasonKind
    level: Level
    text: str
    """May name paths, hosts and error messages."""
    hint: str = ""
    """What the operator can do; empty: nothing, or `status` says it elsewhere."""


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The judgement, and the figures that it rests on."""

    level: Level
    reasons: tuple[HealthReason, ...]
    """The worst first; empty if and only if the level is OK."""
    lag: float | None = None
    """Seconds since the mirror was complete, all of it; None: it never was."""
    behind: float | None = None
    """Seconds of lag without the few failing projects; the whole lag where many fail; None: unknown."""
    ready: bool = False
    """`behind` is within the operator's `fresh-within`: clients may use this mirror. Nothing else counts here: a
    failing project (I7), a full disk or a sink does not make what is served old."""
    silent: bool = False
    """Upstream has not answered for several polls."""
    downloads_wait: bool = False
    """There is too little room to download anything."""
    failing: tuple[Unmet, ...] = ()
    """The projects whose last attempt failed, as far as the report names them."""
    forecast: Forecast | NoForecast | None = None
    """When the disk of the served tree is full; None: that disk was not found."""
    warn_lag: float = _WARN_LAG
    critical_lag: float = _CRITICAL_LAG

    @property
    def failed(self) -> tuple[Unmet, ...]:
        """The failing projects that an upstream cache does not hold back."""
        return tuple(row for row in self.failing if row.stale_since is None)

    @property
    def held_back(self) -> tuple[Unmet, ...]:
        """The failing projects for which upstream's caches serve only old pages."""
        return tuple(row for row in self.failing if row.stale_since is not None)

    @property
    def content_level(self) -> Level:
        """The level without the reasons that leave what is served complete and current."""
        return _worst(reason for reason in self.reasons if reason.kind not in _BESIDE_CONTENT)


def judge(snapshot: Snapshot) -> Health:
    """Return the health of a mirror whose state could be read."""
    report, host, site, now = snapshot.report, snapshot.host, snapshot.site, snapshot.at
    warn_lag, critical_lag = lag_limits(site)
    lag = None if report.complete_at is None else max(0.0, now - report.complete_at)
    behind = _behind(report, now, lag)
    disk = host.disks[0] if host.disks else None
    measured = Health(
        level=Level.OK,
        reasons=(),
        lag=lag,
        behind=behind,
        ready=behind is not None and behind <= site.ready_within,
        silent=report.polled_at is None or now - report.polled_at > _silent_after(site),
        downloads_wait=disk is not None and disk.free < max(site.min_free, _FULL_BELOW),
        failing=_failing(report),
        forecast=None if disk is None else forecast_of(report, disk.free - site.min_free),
        warn_lag=warn_lag,
        critical_lag=critical_lag,
    )
    reasons = sorted(_reasons(snapshot, measured), key=lambda reason: -reason.level)
    return msgspec.structs.replace(measured, level=_worst(reasons), reasons=tuple(reasons))


def judge_unreadable(error: MirrorsyncError, host: Host) -> Health:
    """Return the health of a mirror whose state or configuration raised `error`.

    UNKNOWN: there is no mirror yet, or this reader is kept out; CRITICAL: the mirror itself is damaged.
    """
    level = Level.UNKNOWN if hides_state(error) else Level.CRITICAL
    reason = HealthReason(ReasonKind.UNREADABLE, level, str(error), error.hint)
    full = _full_disks(host) if level is Level.CRITICAL else ()
    return Health(level=level, reasons=(reason, *full))


def lag_limits(site: Site) -> tuple[float, float]:
    """Return the lag (seconds) above which a mirror is in the warning and in the critical state.

    By default an hour and a day; longer for a mirror that polls so rarely that it is always that late.
    """
    late = _silent_after(site)
    warning = max(_WARN_LAG, late) if site.warn_lag is None else site.warn_lag
    critical = max(_CRITICAL_LAG, late) if site.critical_lag is None else site.critical_lag
    return warning, critical


def _silent_after(site: Site) -> float:
    return _SILENT_POLLS * site.poll_interval + 60


def _worst(reasons: Iterable[HealthReason]) -> Level:
    return max((reason.level for reason in reasons), default=Level.OK)


def _failing(report: Report) -> tuple[Unmet, ...]:
    return tuple(row for row in report.unmet if row.attempts)


def _behind(report: Report, now: float, whole: float | None) -> float | None:
    failing = len(_failing(report))
    only_few_fail = failing <= max(1, report.projects // _FEW_IN) and failing < max(1, report.projects)
    if report.polled_at is None or not only_few_fail:
        return whole
    since_polled = max(0.0, now - report.polled_at)
    if report.unmet_count == failing:
        return since_polled
    if report.waiting_after is None:
        return whole
    rest = max(since_polled, now - report.waiting_after)
    return rest if whole is None else min(rest, whole)


def _reasons(snapshot: Snapshot, health: Health) -> Iterator[HealthReason]:
    """Yield what is wrong; of two reasons of one level the one that users notice more comes first."""
    yield from _halted(snapshot)
    yield from _room(snapshot, health)
    yield from _late(snapshot, health)
    if refused := snapshot.report.audit.list_refused:
        yield HealthReason(ReasonKind.LIST_REFUSED, Level.WARNING, refused, _LIST_HINT)
    yield from _unmet(snapshot, health)
    yield from _sinks(snapshot)


def _halted(snapshot: Snapshot) -> Iterator[HealthReason]:
    for last in snapshot.report.runs[:1]:
        if last.needs_person:
            text, again = f"the last run was halted: {last.note}", snapshot.host.at_work
            text += "; another one is under way" if again else ""
            yield HealthReason(ReasonKind.HALTED, Level.WARNING if again else Level.CRITICAL, text, _HALT_HINT)


def _full_disks(host: Host) -> Iterator[HealthReason]:
    for disk in host.disks:
        if disk.free < _FULL_BELOW:
            text = f"the disk of {disk.path} is full ({format_size(disk.free)} free)"
            yield HealthReason(ReasonKind.DISK_FULL, Level.CRITICAL, text, _ROOM_HINT)
        elif disk.inodes_free < _INODES_BELOW:
            text = f"the disk of {disk.path} has only {disk.inodes_free} inodes left"
            yield HealthReason(ReasonKind.DISK_FULL, Level.CRITICAL, text, _ROOM_HINT)


def _room(snapshot: Snapshot, health: Health) -> Iterator[HealthReason]:
    full = tuple(_full_disks(snapshot.host))
    yield from full
    if full:
        return
    if health.downloads_wait:
        free, wanted = snapshot.host.disks[0].free, snapshot.site.min_free
        text = f"downloads wait for room: {format_size(free)} free, min-free is {format_size(wanted)}"
        yield HealthReason(ReasonKind.LOW_ROOM, Level.CRITICAL, text, _ROOM_HINT)
    elif isinstance(health.forecast, Forecast) and health.forecast.seconds_left < _FULL_SOON:
        pace = f"{format_size(round(health.forecast.bytes_a_day))} a day"
        text = f"the disk will be full in about {brief(health.forecast.seconds_left)} ({pace})"
        yield HealthReason(ReasonKind.DISK_FILLING, Level.WARNING, text, _FILLING_HINT)


def _late(snapshot: Snapshot, health: Health) -> Iterator[HealthReason]:
    report, behind = snapshot.report, health.behind
    start_hint = _START_HINT if snapshot.host.at_work is False else ""
    if behind is None and report.polled_at is None:
        text = f"never complete: upstream has not answered yet; {_who(snapshot.host)}"
        yield HealthReason(ReasonKind.NOT_BEGUN, Level.CRITICAL, text, start_hint)
        return
    why, hint = _why_late(snapshot, health), start_hint or (_SILENT_HINT if health.silent else "")
    if behind is None:
        text = f"never complete: {counted(report.unmet_count, 'project')} to go, {report.projects} served; {why}"
        yield HealthReason(ReasonKind.SILENT if health.silent else ReasonKind.INCOMPLETE, Level.CRITICAL, text, hint)
    elif behind > health.warn_lag:
        level = Level.CRITICAL if behind > health.critical_lag else Level.WARNING
        text = f"{brief(behind)} behind upstream; {why}"
        yield HealthReason(ReasonKind.SILENT if health.silent else ReasonKind.BEHIND, level, text, hint)


def _why_late(snapshot: Snapshot, health: Health) -> str:
    report, host = snapshot.report, snapshot.host
    if host.at_work is False:
        note = report.runs[0].note if report.runs else None
        return f"the last run was halted: {note}" if note else _who(host)
    if report.polled_at is not None and health.silent:
        return f"upstream has not answered for {brief(snapshot.at - report.polled_at)}; {_who(host)}"
    if report.unmet_count:
        return f"{counted(report.unmet_count, 'project')} unmet; {_who(host)}"
    return _who(host)


def _who(host: Host) -> str:
    if host.at_work is None:
        return "unknown whether a daemon or a sync is running"
    return "a daemon or a sync is running" if host.at_work else "neither a daemon nor a sync is running"


def _unmet(snapshot: Snapshot, health: Health) -> Iterator[HealthReason]:
    if health.failed:
        first, others = health.failed[0], len(health.failed) - 1
        error = f" ({first.error})" if first.error else ""
        more = f" and {counted(others, 'other')}" if others else ""
        text = f"{counted(len(health.failed), 'project')} cannot be mirrored: {first.name}{error}{more}"
        yield HealthReason(ReasonKind.FAILING, Level.WARNING, text)
    longest = snapshot.at - min((row.stale_since or snapshot.at for row in health.held_back), default=snapshot.at)
    if longest > health.warn_lag:
        pages = counted(len(health.held_back), "page")
        text = f"a cache in front of upstream has held {pages} back for {brief(longest)}"
        yield HealthReason(ReasonKind.HELD_BACK, Level.WARNING, text)


def _sinks(snapshot: Snapshot) -> Iterator[HealthReason]:
    for sink in snapshot.report.sinks:
        if sink.attempts >= _SINK_ATTEMPTS:
            last = "never" if sink.delivered_at is None else f"{brief(max(0.0, snapshot.at - sink.delivered_at))} ago"
            why = (sink.last_error or "no answer").removeprefix(sink.name).strip()
            text = f"{sink.name} cannot be notified of changes (last success: {last}): {why}"
            yield HealthReason(ReasonKind.SINK, Level.WARNING, text, _SINK_HINT)
