"""`mirrorsync status`: the truth, for people and for monitoring."""

import sqlite3
import time
from collections.abc import Mapping
from typing import Annotated, Final

import msgspec
import typer

from mirrorsync import __version__
from mirrorsync.app.mirror_directory import state_path
from mirrorsync.cli.options import Config, Json
from mirrorsync.cli.render import print_error, print_json, print_line
from mirrorsync.config.load import find, load
from mirrorsync.config.schema import Settings
from mirrorsync.errors import MirrorsyncError, SetupError
from mirrorsync.model.units import parse_duration
from mirrorsync.state.connection import primary_code
from mirrorsync.state.report import Report, read_report
from mirrorsync.status import text as status_text
from mirrorsync.status.document import status_document
from mirrorsync.status.forecast import Forecast
from mirrorsync.status.health import Health, Level, Limits, Reason, foretold, full_disks, judge
from mirrorsync.status.host import Host, inspect_host
from mirrorsync.status.lag import behind

_CANNOT_TELL: Final = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY}
"""What keeps this reader from the state, and says nothing of the mirror."""
_PROMISED: Final = ("synced_serial", "newest_serial", "upstream_serial", "lag_seconds", "projects", "files", "bytes")
"""Keys that scripts rely on, null where nothing can be told."""

WarnLag = Annotated[
    str, typer.Option("--warn-lag", metavar="DURATION", help="Lag that is a warning, such as 90m or 1h.")
]
CriticalLag = Annotated[
    str, typer.Option("--critical-lag", metavar="DURATION", help="Lag that is critical, such as 1d or 2h30m.")
]
Perfdata = Annotated[
    bool, typer.Option("--perfdata", help="Only the first line, with figures for a monitoring system behind it.")
]


class _Facts(msgspec.Struct, frozen=True):
    """All that is told, as of one moment."""

    report: Report
    around: Host
    limits: Limits
    judgement: Health
    now: float


def register(app: typer.Typer) -> None:
    """Add `status` to `app`."""
    app.command("status", epilog="Example: mirrorsync status --json | jq .lag_seconds")(status)


def status(
    *,
    config: Config = None,
    as_json: Json = False,
    perfdata: Perfdata = False,
    warn_lag: WarnLag = "1h",
    critical_lag: CriticalLag = "1d",
) -> None:
    """Tell how far the mirror is, what is unmet and why. Ends 0 ok, 1 warning, 2 critical, 3 no mirror or unknown."""
    warning, critical = _duration("--warn-lag", warn_lag), _duration("--critical-lag", critical_lag)
    if warning > critical:
        raise _misused(f"--warn-lag {warn_lag} is longer than --critical-lag {critical_lag}")
    around = Host()
    try:
        settings = load(find(config))
        around = inspect_host(settings.mirror.directory)
        facts = _find_out(settings, around, warning=warning, critical=critical)
    except MirrorsyncError as error:
        raise SystemExit(_tell_trouble(error, around, as_json=as_json)) from None
    if as_json:
        print_json(_document(facts))
    else:
        _tell(facts, perfdata=perfdata)
    raise SystemExit(int(facts.judgement.level))


def _duration(option: str, text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise _misused(f"{option}: {error}") from error


def _misused(text: str) -> typer.BadParameter:
    misused = typer.BadParameter(text)
    misused.exit_code = Level.UNKNOWN  # monitoring systems take 2 for a critical mirror
    return misused


def _find_out(settings: Settings, around: Host, *, warning: float, critical: float) -> _Facts:
    limits = Limits(
        warning=warning,
        critical=critical,
        poll_interval=settings.upstream.poll_interval,
        min_free=settings.limits.min_free if settings.content.files else 0,
    )
    path = state_path(settings.mirror.directory)
    found, now = read_report(path), time.time()
    return _Facts(found, around, limits, judge(found, around, limits, now), now)


def _tell(facts: _Facts, *, perfdata: bool) -> None:
    judgement = facts.judgement
    first = status_text.verdict(judgement.level, judgement.reasons, status_text.all_well(facts.report, facts.now))
    if perfdata:
        print_line(f"{first} | {status_text.perfdata(facts.report, facts.around, facts.limits, facts.now)}")
        return
    print_line(first)
    for line in status_text.describe(facts.report, facts.around, judgement, facts.limits, facts.now):
        print_line(line)


def _document(facts: _Facts) -> Mapping[str, object]:
    late = behind(facts.report, facts.now)
    return {
        "state": facts.judgement.level.name.lower(),
        "reasons": [reason.text for reason in facts.judgement.reasons],
        **status_document(facts.report, facts.now),
        "behind_seconds": None if late is None else round(late, 3),
        "at_work": facts.around.at_work,
        "process": int(facts.around.process) if facts.around.process else None,
        "min_free": facts.limits.min_free,
        "sinks": [msgspec.structs.asdict(sink) for sink in facts.report.sinks],
        "disks": [msgspec.structs.asdict(disk) for disk in facts.around.disks],
        "forecast": _forecast(facts),
    }


def _forecast(facts: _Facts) -> Mapping[str, object] | None:
    if not facts.around.disks:
        return None
    ahead = foretold(facts.report, facts.around.disks[0], facts.limits)
    if not isinstance(ahead, Forecast):
        return None
    endless = ahead.seconds_left == float("inf")
    return {
        "bytes_a_day": round(ahead.bytes_a_day),
        "full_at": None if endless else round(facts.now + ahead.seconds_left),
    }


def _tell_trouble(error: MirrorsyncError, around: Host, *, as_json: bool) -> int:
    """Say why there is nothing to tell; return how to end."""
    level = Level.UNKNOWN if _keeps_us_out(error) else Level.CRITICAL
    reasons = Reason(level, str(error)), *(full_disks(around) if level is Level.CRITICAL else ())
    if as_json:
        told = {"state": level.name.lower(), "reasons": [reason.text for reason in reasons], "hint": error.hint}
        print_json({**told, **dict.fromkeys(_PROMISED), "unmet": [], "last_sync": None, "version": __version__})
        print_error(error)
    else:
        print_line(status_text.verdict(level, reasons))
        if error.hint:
            print_line(f"hint: {error.hint}")
    return int(level)


def _keeps_us_out(error: MirrorsyncError) -> bool:
    """Return whether the trouble is ours, or there is no mirror yet; otherwise the mirror itself is in trouble."""
    cause = error.__cause__
    if isinstance(cause, sqlite3.Error):
        return primary_code(cause) in _CANNOT_TELL
    return isinstance(error, SetupError) or isinstance(cause, PermissionError)
