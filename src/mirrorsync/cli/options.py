"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

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
Json = Annotated[bool, typer.Option("--json", help="Write JSON for scripts.")]
