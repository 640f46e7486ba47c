"""`mirrorsync project show|retry`: one project's ledger."""

import time
from typing import Annotated

import msgspec
import typer

from mirrorsync.app.state_access import retry_project, show_project
from mirrorsync.cli.options import Config, Json, normalised, take_config
from mirrorsync.cli.render import aligned, exits, print_json, print_line
from mirrorsync.config.load import find, load
from mirrorsync.model.units import format_size
from mirrorsync.model.wording import brief
from mirrorsync.state.project_report import ProjectReport

_project = typer.Typer(no_args_is_help=True, callback=take_config)

Name = Annotated[str, typer.Argument(help="The project's name, in any spelling.")]


def register(app: typer.Typer) -> None:
    """Add `project` to `app`."""
    app.add_typer(
        _project,
        name="project",
        help="Inspect one project, or make it due at once.",
        epilog="Example: mirrorsync project show numpy",
    )


@_project.command("show", epilog="Example: mirrorsync project show numpy")
@exits()
def show(name: Name, *, config: Config = None, as_json: Json = False) -> None:
    """Show what the mirror knows of a project."""
    project = normalised(name)
    report = show_project(load(find(config)), project)
    if as_json:
        print_json(msgspec.structs.asdict(report))
        return
    for line in aligned(_rows(report, time.time())):
        print_line(line)


@_project.command("retry", epilog="Example: mirrorsync project retry numpy && mirrorsync sync")
@exits()
def retry(name: Name, *, config: Config = None) -> None:
    """Make a project due at once, whatever its last attempt returned. A running daemon retries it within seconds."""
    project = normalised(name)
    retry_project(load(find(config)), project)
    print_line(f"{project} is due now; the daemon or the next `mirrorsync sync` retries it")


def _rows(report: ProjectReport, now: float) -> list[tuple[str, str]]:
    wait = report.next_attempt_at - now
    due = report.unmet_since is not None or report.attempts > 0
    return [
        ("name", f"{report.name} ({report.display_name})"),
        ("status", report.status or ("removed or never mirrored" if not report.present else "active")),
        ("wanted serial", str(report.wanted_serial)),
        ("mirrored serial", "never" if report.mirrored_serial is None else str(report.mirrored_serial)),
        ("unmet since", "met" if report.unmet_since is None else f"serial {report.unmet_since}"),
        ("files", f"{report.files_stored} of {report.files} stored ({format_size(report.bytes)})"),
        ("attempts", f"{report.attempts} failed in a row"),
        ("next attempt", "none needed" if not due else f"in {brief(max(0.0, wait))}"),
        ("last error", report.last_error or "none"),
        ("hint", report.last_hint or "none"),
    ]
