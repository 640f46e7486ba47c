"""`mirrorsync project show|retry`: one project's ledger."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from mirrorsync.app.ownership import refuse_root
from mirrorsync.cli.options import Config, Json
from mirrorsync.cli.render import aligned, exits, print_json, print_line
from mirrorsync.config.load import find, load
from mirrorsync.errors import BadConfig, Malformed
from mirrorsync.model.identity import ProjectName, project_name
from mirrorsync.model.units import format_size
from mirrorsync.model.wording import brief
from mirrorsync.state.connection import connect, explain
from mirrorsync.state.report import ProjectReport, project_report, reading

_project = typer.Typer(no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The project's name, in any spelling.")]


def register(app: typer.Typer) -> None:
    """Add `project` to `app`."""
    app.add_typer(
        _project,
        name="project",
        help="Look at one project, or make it due at once.",
        epilog="Example: mirrorsync project show numpy",
    )


@_project.command("show", epilog="Example: mirrorsync project show numpy")
@exits()
def show(name: Name, *, config: Config = None, as_json: Json = False) -> None:
    """Tell all that the mirror knows of a project."""
    normalised = _normalised(name)
    with reading(_state(config)) as connection:
        found = project_report(connection, normalised)
    if found is None:
        raise _unknown(normalised)
    if as_json:
        print_json(msgspec.structs.asdict(found))
        return
    for line in aligned(_rows(found, time.time())):
        print_line(line)


@_project.command("retry", epilog="Example: mirrorsync project retry numpy && mirrorsync sync")
@exits()
def retry(name: Name, *, config: Config = None) -> None:
    """Make a project due at once, whatever its last attempt said; a running daemon takes it up within seconds."""
    normalised = _normalised(name)
    path = _state(config)
    refuse_root(path.parent.parent)
    with reading(path) as connection:
        if project_report(connection, normalised) is None:
            raise _unknown(normalised)
    try:
        with closing(connect(path)) as connection:
            connection.execute(
                "UPDATE project SET recheck = 1, next_attempt_at = 0, etag = NULL WHERE name = ?", (normalised,)
            )
    except sqlite3.Error as error:
        raise explain(error, path) from error
    print_line(f"{normalised} is due now: the daemon takes it up, or the next `mirrorsync sync`")


def _rows(found: ProjectReport, now: float) -> list[tuple[str, str]]:
    wait = found.next_attempt_at - now
    due = found.unmet_since is not None or found.attempts > 0
    return [
        ("name", f"{found.name} ({found.display_name})"),
        ("status", found.status or ("removed or never mirrored" if not found.present else "active")),
        ("wanted serial", str(found.wanted_serial)),
        ("mirrored serial", "never" if found.mirrored_serial is None else str(found.mirrored_serial)),
        ("unmet since", "met" if found.unmet_since is None else f"serial {found.unmet_since}"),
        ("files", f"{found.files_stored} of {found.files} stored ({format_size(found.bytes)})"),
        ("attempts", f"{found.attempts} failed in a row"),
        ("next attempt", "none needed" if not due else f"in {brief(max(0.0, wait))}"),
        ("last error", found.last_error or "none"),
        ("hint", found.last_hint or "none"),
    ]


def _normalised(name: str) -> ProjectName:
    try:
        return project_name(name)
    except Malformed as error:
        raise typer.BadParameter(str(error)) from error


def _state(config: Path | None) -> Path:
    return load(find(config)).mirror.directory / "state" / "mirrorsync.sqlite3"


def _unknown(name: ProjectName) -> BadConfig:
    return BadConfig(
        f"this mirror does not know {name}",
        hint="check the spelling; a selected project is known after the next `mirrorsync sync`",
    )
