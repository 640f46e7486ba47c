"""`mirrorsync serve`: serve the tree from mirrorsync itself."""

import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from mirrorsync.cli.command_log import logged
from mirrorsync.cli.options import Config, LogFormat, LogLevel
from mirrorsync.cli.render import exits, print_line
from mirrorsync.config.load import find, load


def register(app: typer.Typer) -> None:
    """Add `serve` to `app`."""
    app.command("serve", epilog="Example: mirrorsync serve --listen 127.0.0.1:8080")(serve)


@exits()
def serve(
    *,
    listen: Annotated[str, typer.Option(help="HOST:PORT to listen on; port 0 takes a free port.")] = "127.0.0.1:8080",
    log_format: LogFormat = "auto",
    log_level: LogLevel = "info",
    config: Config = None,
) -> None:
    """Serve the tree, for a lab or a small site. docs/serving.md shows how a web server does it."""

    def ready(web: Path, addresses: list[str]) -> None:
        print_line(f"serving {web} at {' and '.join(addresses)}")
        sys.stdout.flush()

    with logged(log_format, log_level):
        settings = load(find(config))
        from mirrorsync.app.one_shot import serve_tree  # noqa: PLC0415 -- `--help` and usage errors need no trio
        from mirrorsync.app.process import run_to_end  # noqa: PLC0415 -- as above

        run_to_end(partial(serve_tree, settings, listen, ready))
