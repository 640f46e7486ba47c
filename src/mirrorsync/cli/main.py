"""The command line: `mirrorsync COMMAND`."""

import gc
from typing import Annotated

import typer

from mirrorsync import __version__
from mirrorsync.cli import config, project, serve, status
from mirrorsync.cli import sync as mirror

app = typer.Typer(
    name="mirrorsync",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="A full mirror of PyPI that is true, heals itself, and says how far behind it is.",
    epilog="Start with: mirrorsync init --directory /srv/pypi --contact you@your-site.example",
)


def _version(wanted: bool) -> None:  # noqa: FBT001 -- typer hands a callback its value by position
    if wanted:
        typer.echo(f"mirrorsync {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Print the version and exit.", show_default=False
        ),
    ] = False,
) -> None:
    """Take the options that stand before a command: `version` has done its work in its callback."""


for commands in (config, mirror, status, project, serve):
    commands.register(app)


def main() -> None:
    """Run the command that the arguments name."""
    try:
        app()
    finally:
        gc.freeze()  # or Python, as it ends, looks through all that was loaded for garbage: 45 ms of every command
