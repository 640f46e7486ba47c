"""Options and arguments that several commands share."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from mirrorsync.config.load import PLACES, VARIABLE
from mirrorsync.errors import Malformed
from mirrorsync.model.identity import ProjectName, project_name


def _one_file(context: typer.Context, given: Path | None) -> Path | None:
    """Return the configuration named before or after the command; a click context inherits `obj` from its parent.

    Raises: BadParameter, when both name a file and the files differ.
    """
    before: Path | None = context.obj
    if before is not None and given not in {None, before}:
        raise typer.BadParameter(f"{before} before the command and {given} after it: name one configuration")
    found = context.obj = before or given
    return found


Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        callback=_one_file,
        help=f"The configuration file. [default: ${VARIABLE}, {', '.join(str(place) for place in PLACES)}]",
        show_default=False,
    ),
]
LogFormat = Annotated[
    Literal["auto", "text", "json"],
    typer.Option(
        "--log-format",
        envvar="MIRRORSYNC_LOG_FORMAT",
        help="Format of the log on standard error. auto: plain sentences on a terminal, priorities for journald under"
        " systemd, otherwise lines with the time.",
    ),
]
LogLevel = Annotated[
    Literal["debug", "info", "warning", "error"],
    typer.Option("--log-level", envvar="MIRRORSYNC_LOG_LEVEL", help="The lowest level that is logged."),
]
Json = Annotated[bool, typer.Option("--json", help="Write JSON for scripts.")]


def take_config(*, config: Config = None) -> None:
    """Take `--config` before the command of a group."""


def normalised(name: str) -> ProjectName:
    """Return the project name that was given in any spelling. Raises: BadParameter, when it cannot be one."""
    try:
        return project_name(name)
    except Malformed as error:
        raise typer.BadParameter(str(error)) from error
