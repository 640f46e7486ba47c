"""`mirrorsync sync` and `mirrorsync run`."""

import os
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Annotated, Final

import typer

from mirrorsync.cli.command_log import log_lines, logged, mask_secrets
from mirrorsync.cli.options import Config, LogFormat, LogLevel, normalised
from mirrorsync.cli.render import exits, print_line
from mirrorsync.config.load import find, load
from mirrorsync.config.schema import Settings
from mirrorsync.errors import ExitCode
from mirrorsync.model.units import format_size
from mirrorsync.model.wording import counted
from mirrorsync.observe.log import LineStyle, Log

if TYPE_CHECKING:
    from mirrorsync.app.one_shot import PassResult
    from mirrorsync.app.process import Stopped
    from mirrorsync.observe.run_observer import RunObserver
    from mirrorsync.sync.dry_run import Plan

_UNMET_HINT: Final = (
    "`mirrorsync status` lists them with the reason and the next attempt; `mirrorsync sync NAME` retries one now"
)


def register(app: typer.Typer) -> None:
    """Add `sync` and `run` to `app`."""
    app.command("sync", epilog="Example: mirrorsync sync; mirrorsync sync numpy requests")(sync)
    app.command("run", epilog="Example: mirrorsync run --config /etc/mirrorsync/mirrorsync.toml")(run)


@exits()
def sync(
    names: Annotated[
        list[str] | None, typer.Argument(help="Only these projects, due or not. Default: all that are due.")
    ] = None,
    *,
    allow_removals: Annotated[
        bool,
        typer.Option("--allow-removals", help=r"Allow this pass to remove more than the limits in \[limits]."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what the pass would do, without changing anything.")
    ] = False,
    log_format: LogFormat = "auto",
    log_level: LogLevel = "info",
    config: Config = None,
) -> None:
    """Make one pass over all projects that are due. Exits 0 when all are met, 1 when some are not."""
    chosen = [normalised(name) for name in names or []]
    with logged(log_format, log_level) as log:
        settings = load(find(config))
        from mirrorsync.app import one_shot  # noqa: PLC0415 -- `--help` and usage errors need no trio
        from mirrorsync.app.process import Stopped, run_to_end  # noqa: PLC0415 -- as above

        try:
            if dry_run:
                _print_plan(run_to_end(partial(one_shot.plan_once, settings, chosen)))
                return
            observer = _observer(log, settings)
            result = run_to_end(partial(one_shot.sync_once, settings, observer, chosen, allow_removals=allow_removals))
        except Stopped as stopped:
            _report_stop(log, stopped)
            raise SystemExit(128 + stopped.signal) from None
        _report(log, result)
        if result.unknown is not None:
            raise result.unknown
    if result.unmet or (chosen and result.totals.errors):
        raise SystemExit(ExitCode.UNMET)


def _observer(log: Log, settings: Settings) -> "RunObserver":
    """Return a progress bar on a terminal, and the log elsewhere."""
    lines = log_lines(log, settings, command="sync", process=os.getpid())
    if log.shape is not LineStyle.TERMINAL:
        return lines
    from mirrorsync.observe.progress_bar import ProgressBar  # noqa: PLC0415 -- loads rich, which only a terminal needs

    return ProgressBar(log.clean)


def _report_stop(log: Log, stopped: "Stopped") -> None:
    if log.shape.is_only_log:
        log.say("warning", "stopped", signal=str(stopped))
    else:
        print_line(f"stopped by {stopped}; finished projects are kept, and the next sync continues from there")


def _report(log: Log, result: "PassResult") -> None:
    totals, unmet = result.totals, result.unmet
    if log.shape.is_only_log:
        log.say("warning" if unmet else "info", "unmet", unmet=unmet, hint=_UNMET_HINT if unmet else "")
        return
    print_line(
        f"{counted(totals.projects, 'project')} mirrored,"
        f" {counted(totals.files, 'file')} fetched ({format_size(totals.fetched)}),"
        f" {counted(totals.errors, 'failed attempt')}; {counted(unmet, 'project')} unmet"
    )
    if unmet:
        print_line(f"hint: {_UNMET_HINT}")


@exits()
def run(log_format: LogFormat = "auto", log_level: LogLevel = "info", config: Config = None) -> None:
    """Run the daemon, which follows upstream until SIGTERM. It logs to standard error."""
    with logged(log_format, log_level) as log:
        settings = load(find(config))
        from mirrorsync.app.daemon import run_daemon  # noqa: PLC0415 -- `--help` and usage errors need no trio
        from mirrorsync.app.process import Stopped, run_to_end  # noqa: PLC0415 -- as above

        observer = log_lines(log, settings, command="run", process=os.getpid())

        def reread() -> Settings:
            fresh = load(find(config))
            mask_secrets(log, fresh)
            return fresh

        with suppress(Stopped):  # a signal before the daemon handles signals itself
            run_to_end(partial(run_daemon, settings, observer, reread))


def _print_plan(plan: "Plan") -> None:
    for step in plan.steps:
        does = step.says or (
            f"fetch {counted(step.files, 'file')} ({format_size(step.bytes)}), drop {counted(step.vanishing, 'object')}"
        )
        print_line(f"{step.name}: {does}")
    if plan.projects > len(plan.steps):
        more = counted(plan.projects - len(plan.steps), "project")
        print_line(f"… and {more} more, not examined: they wait for another attempt, or are too many for a forecast")
    files, size = sum(step.files for step in plan.steps), sum(step.bytes for step in plan.steps)
    print_line(
        f"would mirror {counted(plan.projects, 'project')} and fetch {counted(files, 'file')}"
        f" ({format_size(size)}); nothing was changed"
    )
    if plan.leaving.projects:
        print_line(
            f"would REMOVE {counted(plan.leaving.projects, 'project')}, {counted(plan.leaving.files, 'file')}"
            f" ({format_size(plan.leaving.size)}), which [select] no longer includes"
        )
