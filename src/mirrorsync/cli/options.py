"""Options that several commands share."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from mirrorsync.config.load import PLACES, VARIABLE

Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help=f"The configuration. [default: ${VARIABLE}, {', '.join(str(place) for place in PLACES)}]",
        show_default=False,
    ),
]
LogFormat = Annotated[
    Literal["auto", "text", "json"],
    typer.Option(
        "--log-format",
        envvar="MIRRORSYNC_LOG_FORMAT",
        help="How the log on standard error looks. auto: for a person on a terminal, with priorities for journald under"
        " systemd, with the time elsewhere.",
    ),
]
LogLevel = Annotated[
    Literal["debug", "info", "warning", "error"],
    typer.Option("--log-level", envvar="MIRRORSYNC_LOG_LEVEL", help="The least that is worth a line in the log."),
]
Json = Annotated[bool, typer.Option("--json", help="Write JSON for scripts.")]
