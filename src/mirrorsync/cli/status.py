"""`mirrorsync status`: the mirror's health, for people and for monitoring systems."""

import time
from typing import Annotated

import typer
from msgspec.structs import replace

from mirrorsync.app.state_access import mirror_report
from mirrorsync.cli.options import Config, Json
from mirrorsync.cli.render import aligned, print_error, print_json, print_line
from mirrorsync.config.load import find, load
from mirrorsync.errors import MirrorsyncError
from mirrorsync.model.units import parse_duration
from mirrorsync.status import text
from mirrorsync.status.document import operator_document, unreadable_document
from mirrorsync.status.health import Health, Level, judge, judge_unreadable, lag_limits
from mirrorsync.status.host import Host, inspect_host
from mirrorsync.status.snapshot import Site, Snapshot, site_of

WarnLag = Annotated[
    str | None,
    typer.Option(
        "--warn-lag",
        metavar="DURATION",
        help="Lag above which the mirror is in the warning state, such as 90m."
        " [default: 1h; three polls and a minute where that is longer]",
        show_default=False,
    ),
]
CriticalLag = Annotated[
    str | None,
    typer.Option(
        "--critical-lag",
        metavar="DURATION",
        help="Lag above which the mirror is in the critical state, such as 2h30m. [default: 1d]",
        show_default=False,
    ),
]
Perfdata = Annotated[
    bool, typer.Option("--perfdata", help="Only the first line, with figures for a monitoring system behind it.")
]


def register(app: typer.Typer) -> None:
    """Add `status` to `app`."""
    app.command("status", epilog="Example: mirrorsync status --json | jq .lag_seconds")(status)


def status(
    *,
    config: Config = None,
    as_json: Json = False,
    perfdata: Perfdata = False,
    warn_lag: WarnLag = None,
    critical_lag: CriticalLag = None,
) -> None:
    """Show how far the mirror is, what is unmet and why. Exits 0 ok, 1 warning, 2 critical, 3 no mirror or unknown."""
    limits = Site(warn_lag=_duration("--warn-lag", warn_lag), critical_lag=_duration("--critical-lag", critical_lag))
    warning, critical = lag_limits(limits)
    if warning > critical:
        raise _misused(f"--warn-lag {warn_lag} is longer than --critical-lag {critical_lag or '1d'}")
    host = Host()
    try:
        settings = load(find(config))
        host = inspect_host(settings.mirror.directory)
        report = mirror_report(settings)
    except MirrorsyncError as error:
        health = judge_unreadable(error, host)
        _print_unreadable(error, health, as_json=as_json)
        raise SystemExit(int(health.level)) from None
    site = replace(site_of(settings), warn_lag=limits.warn_lag, critical_lag=limits.critical_lag)
    snapshot = Snapshot(at=time.time(), report=report, host=host, site=site)
    health = judge(snapshot)
    if as_json:
        print_json(operator_document(snapshot, health))
    else:
        _print_text(snapshot, health, perfdata=perfdata)
    raise SystemExit(int(health.level))


def _duration(option: str, given: str | None) -> float | None:
    try:
        return None if given is None else parse_duration(given)
    except ValueError as error:
        raise _misused(f"{option}: {error}") from error


def _misused(message: str) -> typer.BadParameter:
    misused = typer.BadParameter(message)
    misused.exit_code = Level.UNKNOWN  # monitoring systems take 2 for a critical mirror
    return misused


def _print_text(snapshot: Snapshot, health: Health, *, perfdata: bool) -> None:
    first = text.headline(health, text.all_well(snapshot, health))
    if perfdata:
        print_line(f"{first} | {text.perfdata(snapshot, health)}")
        return
    print_line(first)
    for line in (*aligned(tuple(text.rows(snapshot, health))), *text.details(snapshot, health)):
        print_line(line)


def _print_unreadable(error: MirrorsyncError, health: Health, *, as_json: bool) -> None:
    if as_json:
        print_json(unreadable_document(health))
        print_error(error)
        return
    print_line(text.headline(health))
    if error.hint:
        print_line(f"hint: {error.hint}")
