"""The configuration commands as a program: python -m tests.unit.cli.program."""

import typer

from mirrorsync.cli.config import register

app = typer.Typer()
register(app)

if __name__ == "__main__":
    app()
