"""`mirrorsync sync` and `mirrorsync run`."""

import os
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Annotated, Final

import typer

from mirrorsync.cli.command_log import hide_secrets, lines, logged
from mirrorsync.cli.options import Config, LogFormat, LogLevel
from mirrorsync.cli.render import exits, print_line
from mirrorsync.config.load import find, load
from mirrorsync.config.schema import Settings
from mirrorsync.errors import BadConfig, ExitCode, Malformed
from mirrorsync.model.identity import ProjectName, project_name
from mirrorsync.model.units import format_size
from mirrorsync.model.wording import counted

if TYPE_CHECKING:
    from mirrorsync.observe.log import Log
    from mirrorsync.observe.run_observer import RunObserver
    from mirrorsync.state.runs import Totals
    from mirrorsync.sync.dry_run import Plan

_UNMET_HINT: Final = (
    "`mirrorsync status` says which, why, and when each is tried again; `mirrorsync sync NAME` tries one at once"
)


def register(app: typer.Typer) -> None:
    """Add `sync` and `run` to `app`."""
    app.command("sync", epilog="Example: mirrorsync sync; mirrorsync sync numpy requests")(sync)
    app.command("run", epilog="Example: mirrorsync run --config /etc/mirrorsync/mirrorsync.toml")(run)


@exits()
def sync(
    names: Annotated[
        list[str] | None, typer.Argument(help="Only these projects, due or not. Default: all due.")
    ] = None,
    *,
    allow_removals: Annotated[
        bool,
        typer.Option("--allow-removals", help=r"Agree, for this pass, to removals beyond the limits in \[limits]."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done; change nothing.")] = False,
    log_format: LogFormat = "auto",
    log_level: LogLevel = "info",
    config: Config = None,
) -> None:
    """Make one pass until all that is due has been tried. Ends 0 when all is met, 1 when some projects are not."""
    with logged(log_format, log_level) as log:
        settings = load(find(config))
        from mirrorsync.app import commands as daemon  # noqa: PLC0415 -- `--help` and bad arguments need no trio

        chosen = _chosen(settings, names or [])

        try:
            if dry_run:
                _print_plan(daemon.run_to_end(partial(daemon.plan_once, settings, chosen)))
                return
            totals, unmet = daemon.run_to_end(
                partial(daemon.sync_once, settings, _audience(log, settings), chosen, allow_removals=allow_removals)
            )
        except daemon.Stopped as stopped:
            if log.shape.is_only_log:
                log.say("warning", "stopped", signal=str(stopped))
            else:
                print_line(f"stopped by {stopped}; what was brought up is kept, and the next sync goes on from there")
            raise SystemExit(128 + stopped.signal) from None
    if log.shape.is_only_log:
        log.say("warning" if unmet else "info", "unmet", unmet=unmet, hint=_UNMET_HINT if unmet else "")
    else:
        _print_totals(totals, unmet)
    if unmet or (chosen and totals.errors):
        raise SystemExit(ExitCode.UNMET)


def _audience(log: "Log", settings: Settings) -> "RunObserver":
    """Return the bar on a terminal, and the log elsewhere."""
    told = lines(log, settings, command="sync", process=os.getpid())
    from mirrorsync.observe.log import Shape  # noqa: PLC0415 -- `--help` and bad arguments need no trio

    if log.shape is not Shape.TERMINAL:
        return told
    from mirrorsync.observe.progress_bar import Bar  # noqa: PLC0415 -- only a terminal has one

    return Bar(log.clean)


def _print_totals(totals: "Totals", unmet: int) -> None:
    print_line(
        f"{counted(totals.projects, 'project')} brought up,"
        f" {counted(totals.files, 'file')} fetched ({format_size(totals.fetched)}),"
        f" {counted(totals.errors, 'failed attempt')}; {counted(unmet, 'project')} unmet"
    )
    if unmet:
        print_line(f"hint: {_UNMET_HINT}")


@exits()
def run(log_format: LogFormat = "auto", log_level: LogLevel = "info", config: Config = None) -> None:
    """Follow upstream until SIGTERM: the daemon. All that it says is its log, on standard error."""
    with logged(log_format, log_level) as log:
        settings = load(find(config))
        from mirrorsync.app import commands as daemon  # noqa: PLC0415 -- `--help` and bad arguments need no trio

        told = lines(log, settings, command="run", process=os.getpid())

        def reread() -> Settings:
            fresh = load(find(config))
            hide_secrets(log, fresh)
            return fresh

        with suppress(daemon.Stopped):  # a signal that came before there was anything to stop
            daemon.run_to_end(partial(daemon.run_daemon, settings, told, reread))


def _print_plan(plan: "Plan") -> None:
    for step in plan.steps:
        does = step.says or (
            f"{counted(step.files, 'file')} ({format_size(step.bytes)}) to fetch,"
            f" {counted(step.vanishing, 'object')} to drop"
        )
        print_line(f"{step.name}: {does}")
    if plan.projects > len(plan.steps):
        more = counted(plan.projects - len(plan.steps), "project")
        print_line(f"… and {more} more, not looked at: waiting for another attempt, or too many for a forecast")
    files, size = sum(step.files for step in plan.steps), sum(step.bytes for step in plan.steps)
    print_line(
        f"would bring up {counted(plan.projects, 'project')} and fetch {counted(files, 'file')}"
        f" ({format_size(size)}); nothing was changed"
    )
    if plan.leaving.projects:
        print_line(
            f"would REMOVE {counted(plan.leaving.projects, 'project')}, {counted(plan.leaving.files, 'file')}"
            f" ({format_size(plan.leaving.size)}), which [select] leaves out"
        )


def _chosen(settings: Settings, names: list[str]) -> list[ProjectName]:
    from mirrorsync.app.wiring import policy_of  # noqa: PLC0415 -- `--help` and bad arguments need no trio

    selection = policy_of(settings).selection
    chosen = []
    for name in names:
        try:
            normalised = project_name(name)
        except Malformed as error:
            raise typer.BadParameter(str(error)) from error
        if not selection.selects(normalised):
            raise BadConfig(
                f"{normalised} is not selected by this mirror",
                why="[select] in the configuration leaves it out",
                hint="add it to [select] projects, or take it out of exclude",
            )
        chosen.append(normalised)
    return chosen
