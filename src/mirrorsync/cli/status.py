"""`mirrorsync status`: the truth, for people and for monitoring."""

import time
from typing import Final

import typer

from mirrorsync.cli.options import Config, Json
from mirrorsync.cli.render import aligned, counted, print_error, print_json, print_line
from mirrorsync.config.load import find, load
from mirrorsync.config.units import format_duration, format_size
from mirrorsync.errors import MirrorsyncError, SetupError
from mirrorsync.state.report import Report, Unmet, reading, report
from mirrorsync.state.status import status_document

OK: Final = 0
WARNING: Final = 1
CRITICAL: Final = 2
NO_MIRROR: Final = 3

_LATE: Final = 3600.0
_DEAD: Final = 86400.0
"""Seconds of lag that make a warning, and a critical state."""
_NEVER_ASKED: Final = "unknown (upstream has not answered yet)"
_NAMED: Final = 20
"""Unmet projects that are shown to a person; --json has more."""


def register(app: typer.Typer) -> None:
    """Add `status` to `app`."""
    app.command("status", epilog="Example: mirrorsync status --json | jq .lag_seconds")(status)


def status(*, config: Config = None, as_json: Json = False) -> None:
    """Tell how far the mirror is and what is unmet. Ends 0 ok, 1 warning, 2 critical, 3 no mirror."""
    try:
        path = load(find(config)).mirror.directory / "state" / "mirrorsync.sqlite3"
        with reading(path) as connection:
            found = report(connection)
    except SetupError as error:
        print_error(error)
        raise SystemExit(NO_MIRROR) from None
    except MirrorsyncError as error:
        print_error(error)
        raise SystemExit(CRITICAL) from None
    now = time.time()
    if as_json:
        print_json(status_document(found, now))
    else:
        for line in describe(found, now):
            print_line(line)
    raise SystemExit(judge(found, now))


def judge(found: Report, now: float) -> int:
    """Return the monitoring plugin's code: critical when no complete sync for a day, warning when late or unmet."""
    if found.complete_at is None or now - found.complete_at > _DEAD:
        return CRITICAL
    return WARNING if found.unmet_count or now - found.complete_at > _LATE else OK


def describe(found: Report, now: float) -> list[str]:
    """Return the status as lines for a person."""
    words = {OK: "ok", WARNING: "warning", CRITICAL: "critical"}
    rows = [
        ("state", words[judge(found, now)]),
        ("upstream", found.upstream),
        ("synced serial", _serial(found)),
        ("newest serial", _or_unknown(found.newest_serial, "no page carries one")),
        ("upstream serial", _upstream_serial(found)),
        ("last complete", _ago(found.complete_at, now)),
        ("last asked", _ago(found.polled_at, now)),
        ("projects", f"{found.projects}"),
        ("files", f"{found.files} ({format_size(found.bytes)}, sidecars not counted)"),
        ("to be deleted", f"{counted(found.condemned, 'object')}, after their grace"),
        ("audit", _audit(found, now)),
        ("unmet", counted(found.unmet_count, "project")),
    ]
    return [*aligned(rows), *_unmet(found.unmet, now), *_runs(found, now)]


def _serial(found: Report) -> str:
    if found.polled_at is None:
        return _NEVER_ASKED
    if found.synced_serial is None:
        return "unknown (upstream tells no serial of its own; every named project is asked for at each sync)"
    behind = 0 if found.upstream_serial is None else max(0, found.upstream_serial - found.synced_serial)
    return f"{found.synced_serial} (everything up to it is served; {counted(behind, 'serial')} behind)"


def _upstream_serial(found: Report) -> str:
    if found.polled_at is None:
        return _NEVER_ASKED
    return _or_unknown(found.upstream_serial, "upstream gives no changelog and no root list")


def _audit(found: Report, now: float) -> str:
    audit = found.audit
    if audit.began_at is None:
        return "begins with the next sync"
    share = 100 * audit.done / max(1, found.projects)
    last = "no whole round yet" if audit.audited_at is None else f"last whole round ended {_ago(audit.audited_at, now)}"
    return f"{audit.done} of {found.projects} projects ({share:.0f} %) asked for in this round; {last}"


def _or_unknown(serial: int | None, why: str) -> str:
    return f"unknown ({why})" if serial is None else str(serial)


def _ago(moment: float | None, now: float) -> str:
    if moment is None:
        return "never"
    stamp = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(moment))
    return f"{format_duration(float(round(max(0.0, now - moment))))} ago ({stamp})"


def _unmet(rows: tuple[Unmet, ...], now: float) -> list[str]:
    lines = [""] if rows else []
    for row in rows[:_NAMED]:
        wait = row.next_attempt_at - now
        when = f"again in {format_duration(float(round(wait)))}" if wait >= 1 else "due now"
        mirrored = "never mirrored" if row.mirrored is None else f"mirrored at {row.mirrored}"
        lines.append(f"{row.name}: wanted {row.wanted}, {mirrored}, {counted(row.attempts, 'attempt')}, {when}")
        if row.error:
            lines.append(f"  {row.error}")
        if row.hint:
            lines.append(f"  hint: {row.hint}")
    if len(rows) > _NAMED:
        lines.append(f"… and {len(rows) - _NAMED} more: mirrorsync status --json")
    return lines


def _runs(found: Report, now: float) -> list[str]:
    lines = ["", "last runs"] if found.runs else []
    for row in found.runs:
        took = format_duration(round(row.ended_at - row.started_at, 1))
        note = f"; halted: {row.note}" if row.note else ""
        lines.append(
            f"  {_ago(row.ended_at, now)}: {counted(row.projects, 'project')},"
            f" {counted(row.files, 'file')} ({format_size(row.bytes)}),"
            f" {row.errors} failed, took {took}{note}"
        )
    return lines
