"""The status as a tunasync job, which the front pages of many mirror sites read. Pure.

Source: tunasync's list of jobs (`/jobs`), whose keys and formats of time and size these are.
"""

from typing import Final

import msgspec

from mirrorsync.model.wording import utc
from mirrorsync.status.health import Health, Level, ReasonKind
from mirrorsync.status.snapshot import Snapshot

_NEVER: Final = "0001-01-01 00:00:00 +0000"
_NEVER_TIMESTAMP: Final = -62135596800
"""Go's zero time, which tunasync writes for a time that never was."""
_STEP: Final = 1024
_UNITS: Final = "BKMGTPE"
_ONE_DIGIT_BELOW: Final = 9.95
_BEING_FIXED: Final = frozenset({ReasonKind.NOT_BEGUN, ReasonKind.INCOMPLETE})
"""Critical, but a running daemon works on it."""


class _Job(msgspec.Struct, frozen=True):
    name: str
    is_master: bool
    status: str
    last_update: str
    last_update_ts: int
    last_started: str
    last_started_ts: int
    last_ended: str
    last_ended_ts: int
    next_schedule: str
    next_schedule_ts: int
    upstream: str
    size: str


def document(snapshot: Snapshot, health: Health) -> bytes:
    """Return the list of one job, as JSON."""
    report, run = snapshot.report, snapshot.report.newest_work
    started_at, ended_at = (None, None) if run is None else (run.started_at, run.ended_at)
    job = _Job(
        name="pypi",
        is_master=True,
        status=_status(snapshot, health),
        last_update=_moment(report.complete_at),
        last_update_ts=_timestamp(report.complete_at),
        last_started=_moment(started_at),
        last_started_ts=_timestamp(started_at),
        last_ended=_moment(ended_at),
        last_ended_ts=_timestamp(ended_at),
        next_schedule=_moment(snapshot.next_poll_at),
        next_schedule_ts=_timestamp(snapshot.next_poll_at),
        upstream=report.upstream,
        size=_size(report.bytes),
    )
    return msgspec.json.format(msgspec.json.encode([job]), indent=1) + b"\n"


def _status(snapshot: Snapshot, health: Health) -> str:
    if health.content_level is Level.OK:
        return "success"
    if snapshot.next_poll_at is None:
        return "failed"  # the run has ended, and no daemon continues
    fatal = {reason.kind for reason in health.reasons if reason.level is Level.CRITICAL} - _BEING_FIXED
    silent = any(reason.kind is ReasonKind.SILENT for reason in health.reasons)
    return "failed" if fatal or silent else "syncing"


def _moment(at: float | None) -> str:
    return _NEVER if at is None else utc(at, "%Y-%m-%d %H:%M:%S +0000")


def _timestamp(at: float | None) -> int:
    return _NEVER_TIMESTAMP if at is None else int(at)


def _size(size: int) -> str:
    """Return bytes as `du -h` writes them: "4.2T", "187G"."""
    power, rest = 0, float(size)
    while rest >= _STEP and power < len(_UNITS) - 1:
        power, rest = power + 1, rest / _STEP
    return f"{rest:.1f}{_UNITS[power]}" if power and rest < _ONE_DIGIT_BELOW else f"{rest:.0f}{_UNITS[power]}"
