"""Opening SQLite and translating its errors. Without trio, so that `status` starts quickly."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from mirrorsync.errors import MirrorsyncError, SetupError, StoreDenied, StoreFull

DAMAGED_HINT: Final = "restore it from a backup, or move it away: the next sync builds it anew from upstream"
_SCHEMA_ERRORS: Final = {0, sqlite3.SQLITE_ERROR}
"""Result codes that our own statements get only if a table is not as the schema made it."""

_KEEPS_OUT: Final = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY}
"""What keeps a reader from a state that may be in order."""


def connect(path: Path, *, read_only: bool = False, busy_timeout: float = 10.0) -> sqlite3.Connection:
    """Open the database. A reader changes nothing in it and needs no write permission.

    `busy_timeout`: seconds to wait while another process has it locked. (SQLite may leave an empty `-wal` and `-shm`
    beside it.) Raises: StoreDenied with a hint.
    """
    try:
        connection = _open(path, "mode=ro" if read_only else "mode=rwc", busy_timeout)
        if read_only:
            connection = _readable(connection, path, busy_timeout)
        else:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA cache_size = -65536")
    except sqlite3.Error as error:
        raise explain(error, path) from error
    return connection


def _open(path: Path, parameter: str, busy_timeout: float) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?{parameter}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=busy_timeout,
    )
    connection.row_factory = sqlite3.Row
    return connection


def _readable(connection: sqlite3.Connection, path: Path, busy_timeout: float) -> sqlite3.Connection:
    """Return a connection that can read, even for a user who cannot create SQLite's `-shm` beside the database."""
    try:
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.OperationalError as error:
        connection.close()
        if primary_code(error) == sqlite3.SQLITE_BUSY or _has_log(path):
            raise
        # Without a log no process has it open, so it can be read as a plain file. This also works on a full disk,
        # where SQLite cannot create the `-shm` and reports an I/O error.
        return _open(path, "immutable=1", busy_timeout)
    return connection


def _has_log(path: Path) -> bool:
    log = path.with_name(f"{path.name}-wal")
    return log.exists() and log.stat().st_size > 0


def rows(connection: sqlite3.Connection, statement: str, *values: object) -> sqlite3.Cursor:
    """Run `statement`; the cursor yields plain tuples, which cost half as much as named rows."""
    cursor = connection.cursor()
    cursor.row_factory = None
    return cursor.execute(statement, values)


def copy_database(source: Path, target: Path) -> None:
    """Copy a consistent snapshot of a database that may be in use; do nothing if it does not exist.

    Raises: StoreDenied, StoreFull.
    """
    try:
        if not source.exists():
            return
        with closing(connect(source, read_only=True)) as reader, closing(sqlite3.connect(target)) as writer:
            reader.backup(writer)
    except sqlite3.Error as error:
        raise explain(error, source) from error
    except OSError as error:
        raise unreachable(error, source) from error


def unreachable(error: OSError, path: Path) -> StoreDenied:
    """Return the error for a state that this user cannot reach."""
    return StoreDenied(
        f"the state {path} cannot be seen",
        why=error.strerror or str(error),
        hint="run this as the mirror's user, or let this user read the directory",
    )


def explain(error: sqlite3.Error, path: Path) -> MirrorsyncError:
    """Return an operator's error for a failure of SQLite."""
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
            hint=f"mirrorsync never locks out readers: `fuser -v {path}` shows which program does (a backup, an sqlite3"
            " shell); end that program, nothing was lost",
        )
    if isinstance(error, sqlite3.OperationalError) and code not in _SCHEMA_ERRORS:
        return StoreDenied(
            f"the state {path} cannot be used",
            why=text,
            hint="check the directory's owner, permissions and disk; nothing was lost",
        )
    return StoreDenied(f"the state {path} is damaged", why=text, hint=DAMAGED_HINT)


def hides_state(error: MirrorsyncError) -> bool:
    """Return whether `error` says nothing about the mirror: there is none yet, or this reader may not see its state."""
    cause = error.__cause__
    if isinstance(cause, sqlite3.Error):
        return primary_code(cause) in _KEEPS_OUT
    return isinstance(error, SetupError) or isinstance(cause, PermissionError)


def primary_code(error: sqlite3.Error) -> int:
    """Return SQLite's primary result code, 0 if the error has none."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
