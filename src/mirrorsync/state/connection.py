"""Opening SQLite, and what its failures mean. Without trio: `status` and its like need none."""

import sqlite3
from contextlib import closing
from pathlib import Path

from mirrorsync.errors import MirrorsyncError, StoreDenied, StoreFull


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Open the database; a reader changes nothing of it, and needs no right to write.

    (SQLite itself may leave its empty `-wal` and `-shm` beside it.) Raises: StoreDenied with a hint.
    """
    try:
        connection = _open(path, "mode=ro" if read_only else "mode=rwc")
        if read_only:
            connection = _readable(connection, path)
        else:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA cache_size = -65536")
    except sqlite3.Error as error:
        raise explain(error, path) from error
    return connection


def _open(path: Path, how: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?{how}", uri=True, isolation_level=None, check_same_thread=False, timeout=10
    )
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA busy_timeout = 10000")
    return connection


def _readable(connection: sqlite3.Connection, path: Path) -> sqlite3.Connection:
    """Return a connection that can read, also for a user who may not make SQLite's `-shm` beside the database."""
    try:
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.OperationalError:
        connection.close()
        if path.with_name(f"{path.name}-wal").exists():
            raise
        # Nobody has it open, so nobody changes it: it can be read as the plain file that it is.
        return _open(path, "immutable=1")
    return connection


def copy_database(source: Path, target: Path) -> None:
    """Copy a database that others may be writing, as of one moment. Raises: StoreDenied, StoreFull."""
    try:
        with closing(connect(source, read_only=True)) as reader, closing(sqlite3.connect(target)) as writer:
            reader.backup(writer)
    except sqlite3.Error as error:
        raise explain(error, source) from error


def explain(error: sqlite3.Error, path: Path) -> MirrorsyncError:
    """Say what a failure of SQLite means to an operator."""
    text = str(error)
    if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL:
        return StoreFull(
            f"the state {path} cannot grow",
            why=text,
            hint="free some space on its disk; nothing was lost and the next run goes on where this one stopped",
        )
    if isinstance(error, sqlite3.OperationalError):
        return StoreDenied(
            f"the state {path} cannot be used",
            why=text,
            hint="check the directory's owner, permissions and disk; nothing was lost",
        )
    return StoreDenied(
        f"the state {path} is damaged",
        why=text,
        hint="restore it from a backup, or move it away: the next sync builds it anew from upstream",
    )
