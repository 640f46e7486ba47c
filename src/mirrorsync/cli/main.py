"""The command line: `mirrorsync COMMAND`."""

import gc
from typing import Annotated

import typer

from mirrorsync import __version__
from mirrorsync.cli import config, project, serve, status, sync
from mirrorsync.cli.options import Config

app = typer.Typer(
    name="mirrorsync",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="A full mirror of PyPI that verifies every file, recovers by itself, and reports how far behind it is.",
    epilog="Start with: mirrorsync init --directory /srv/pypi --contact you@your-site.example",
)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 -- typer passes a callback's value by position
    if wanted:
        typer.echo(f"mirrorsync {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    *,
    config: Config = None,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit.", show_default=False
        ),
    ] = False,
) -> None:
    """Take the options before the command."""


for commands in (config, sync, status, project, serve):
    commands.register(app)


def main() -> None:
    """Run the command that the arguments name."""
    gc.disable()  # loading modules creates no garbage and takes 10 % longer with collections; `run_to_end` enables them
    try:
        app()
    finally:
        gc.freeze()  # skips the garbage collections at interpreter exit: 20 of 140 ms of a short command
