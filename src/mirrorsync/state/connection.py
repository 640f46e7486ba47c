"""Opening SQLite, and what its failures mean. Without trio: `status` and its like need none."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from mirrorsync.errors import MirrorsyncError, StoreDenied, StoreFull

DAMAGED_HINT: Final = "restore it from a backup, or move it away: the next sync builds it anew from upstream"
_NOT_OURS: Final = {0, sqlite3.SQLITE_ERROR}
"""What our own statements meet only where a table is not as we made it."""


def connect(path: Path, *, read_only: bool = False, patience: float = 10.0) -> sqlite3.Connection:
    """Open the database; a reader changes nothing of it, and needs no right to write.

    `patience`: seconds to wait for whoever keeps it for itself. (SQLite itself may leave its empty `-wal` and `-shm`
    beside it.) Raises: StoreDenied with a hint.
    """
    try:
        connection = _open(path, "mode=ro" if read_only else "mode=rwc", patience)
        if read_only:
            connection = _readable(connection, path, patience)
        else:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA cache_size = -65536")
    except sqlite3.Error as error:
        raise explain(error, path) from error
    return connection


def _open(path: Path, how: str, patience: float) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?{how}", uri=True, isolation_level=None, check_same_thread=False, timeout=patience
    )
    connection.row_factory = sqlite3.Row
    return connection


def _readable(connection: sqlite3.Connection, path: Path, patience: float) -> sqlite3.Connection:
    """Return a connection that can read, also for a user who may not make SQLite's `-shm` beside the database."""
    try:
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.OperationalError as error:
        connection.close()
        if primary_code(error) == sqlite3.SQLITE_BUSY or _has_log(path):
            raise
        # Nobody has it open, so nobody changes it: it can be read as the plain file that it is, also where the disk
        # has no room for the `-shm` that SQLite would make (it calls that an I/O error).
        return _open(path, "immutable=1", patience)
    return connection


def _has_log(path: Path) -> bool:
    log = path.with_name(f"{path.name}-wal")
    return log.exists() and log.stat().st_size > 0


def copy_database(source: Path, target: Path) -> None:
    """Copy a database that others may be writing, as of one moment, if there is one. Raises: StoreDenied, StoreFull."""
    try:
        if not source.exists():
            return
        with closing(connect(source, read_only=True)) as reader, closing(sqlite3.connect(target)) as writer:
            reader.backup(writer)
    except sqlite3.Error as error:
        raise explain(error, source) from error
    except OSError as error:
        raise StoreDenied(
            f"the state {source} cannot be seen",
            why=error.strerror or str(error),
            hint="run this as the mirror's user, or let this user read the directory",
        ) from error


def explain(error: sqlite3.Error, path: Path) -> MirrorsyncError:
    """Say what a failure of SQLite means to an operator."""
    text = str(error)
    code = primary_code(error)
    if code == sqlite3.SQLITE_FULL or getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_IOERR_SHMSIZE:
        return StoreFull(
            f"the state {path} cannot grow",
            why=text,
            hint="free some space on its disk; nothing was lost and the next run goes on where this one stopped",
        )
    if code == sqlite3.SQLITE_BUSY:
        return StoreDenied(
            f"the state {path} is locked by another program",
            why=text,
            hint=f"mirrorsync never keeps it from readers: `fuser -v {path}` tells who does (a backup, an sqlite3"
            " shell); end that program, nothing was lost",
        )
    if isinstance(error, sqlite3.OperationalError) and code not in _NOT_OURS:
        return StoreDenied(
            f"the state {path} cannot be used",
            why=text,
            hint="check the directory's owner, permissions and disk; nothing was lost",
        )
    return StoreDenied(
        f"the state {path} is damaged",
        why=text,
        hint=DAMAGED_HINT,
    )


def primary_code(error: sqlite3.Error) -> int:
    """Return SQLite's primary result code, 0 where it tells none."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
