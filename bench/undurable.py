"""`mirrorsync` without its flushes, to measure the cost of durability. Never use it for a real mirror.

.venv/bin/python -m bench.undurable sync --config FILE
"""

import sqlite3
from pathlib import Path

from mirrorsync.cli.main import main
from mirrorsync.state import database
from mirrorsync.store import durable

_connect = database.connect


def _connect_undurably(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    connection = _connect(path, read_only=read_only)
    if not read_only:
        connection.execute("PRAGMA synchronous = OFF")
    return connection


def _flush_nothing(descriptor: int) -> None:
    """Replace syncfs."""


if __name__ == "__main__":
    database.connect = _connect_undurably
    defaults = durable.GroupSync.__init__.__kwdefaults__ or {}
    if "flush_file_system" not in defaults:
        raise SystemExit("mirrorsync flushes in another way now: update bench/undurable.py")
    defaults["flush_file_system"] = _flush_nothing
    main()
