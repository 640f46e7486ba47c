"""The state as a tunasync job, which the front pages of many mirror sites read. Pure.

Source: tunasync's list of jobs (`/jobs`), whose keys and forms of time and size these are.
"""

import time
from typing import Final

import msgspec

from mirrorsync.status.page_values import Level, Page

_NEVER: Final = "0001-01-01 00:00:00 +0000"
_NEVER_TIMESTAMP: Final = -62135596800
"""How tunasync's own language writes a time that was not."""
_STEP: Final = 1024
_UNITS: Final = "BKMGTPE"
_ONE_DIGIT_BELOW: Final = 9.95


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


def document(page: Page, level: Level) -> bytes:
    """Return the list of one job, as JSON."""
    run = page.last_run
    started, ended = (None, None) if run is None else (run.started_at, run.ended_at)
    job = _Job(
        name="pypi",
        is_master=True,
        status=_status(page, level),
        last_update=_moment(page.complete_at),
        last_update_ts=_timestamp(page.complete_at),
        last_started=_moment(started),
        last_started_ts=_timestamp(started),
        last_ended=_moment(ended),
        last_ended_ts=_timestamp(ended),
        next_schedule=_moment(page.next_run_at),
        next_schedule_ts=_timestamp(page.next_run_at),
        upstream=page.upstream,
        size=_size(page.bytes),
    )
    return msgspec.json.format(msgspec.json.encode([job]), indent=1) + b"\n"


def _status(page: Page, level: Level) -> str:
    match level:
        case Level.FRESH:
            return "success"
        case Level.TROUBLE:
            return "failed"
        case Level.LATE:
            # What is left over when a run has ended, and nobody goes on, has failed.
            return "failed" if page.next_run_at is None else "syncing"


def _moment(at: float | None) -> str:
    return _NEVER if at is None else time.strftime("%Y-%m-%d %H:%M:%S +0000", time.gmtime(at))


def _timestamp(at: float | None) -> int:
    return _NEVER_TIMESTAMP if at is None else int(at)


def _size(size: int) -> str:
    """Return bytes as `du -h` writes them: "4.2T", "187G"."""
    power, rest = 0, float(size)
    while rest >= _STEP and power < len(_UNITS) - 1:
        power, rest = power + 1, rest / _STEP
    return f"{rest:.1f}{_UNITS[power]}" if power and rest < _ONE_DIGIT_BELOW else f"{rest:.0f}{_UNITS[power]}"
