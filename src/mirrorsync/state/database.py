"""The connection: one writer, many statements a transaction, every commit durable."""

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Generic, TypeVar

import trio
from outcome import Error, Outcome, Value

from mirrorsync.errors import MirrorsyncError, StoreDenied, StoreFull
from mirrorsync.state.schema import migrate

T = TypeVar("T")
Operation = Callable[[sqlite3.Connection], T]


class _Job(Generic[T]):
    """An operation that waits for the next transaction."""

    def __init__(self, operation: Operation[T]) -> None:
        self.operation = operation
        self.result: Outcome[T] | None = None


class Database:
    """The mirror's SQLite file. Operations that wait at the same time share one transaction (group commit).

    An operation is a function of the connection. It may be run again by nobody: it runs once, and when it raises
    only its own changes are undone.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._pending: list[_Job[object]] = []
        self._turn = trio.Lock()
        self._thread = trio.CapacityLimiter(1)
        self.commits = 0
        """Transactions so far."""

    async def write(self, operation: Operation[T]) -> T:
        """Run `operation` in a transaction; on return it is durable.

        Cancellation: it has happened whole or not at all, and may still happen.
        Raises: what it raises; StoreFull, StoreDenied when the database cannot be written.
        """
        job = _Job(operation)
        self._pending.append(job)  # type: ignore[arg-type]  # the list only hands each job its own result back
        try:
            async with self._turn:
                if job.result is None:
                    batch, self._pending = self._pending, []
                    await trio.to_thread.run_sync(self._commit, batch, limiter=self._thread)
        finally:
            if job.result is None and job in self._pending:
                self._pending.remove(job)  # type: ignore[arg-type]  # as above
        assert job.result is not None  # noqa: S101 -- set by whoever committed the batch
        return job.result.unwrap()

    async def read(self, operation: Operation[T]) -> T:
        """Run `operation`, which changes nothing, between two transactions."""
        async with self._turn:
            return await trio.to_thread.run_sync(self._translated, operation, limiter=self._thread)

    @asynccontextmanager
    async def reader(self) -> AsyncIterator[sqlite3.Connection]:
        """Open a second, read-only connection with its own view of the moment, for long walks."""
        connection = await trio.to_thread.run_sync(lambda: connect(self._path, read_only=True))
        with closing(connection):
            yield connection

    def _commit(self, batch: list[_Job[object]]) -> None:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            results = [self._attempt(job.operation) for job in batch]
            self._connection.execute("COMMIT")
            self.commits += 1
        except sqlite3.Error as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            # One for each: an outcome is unwrapped once.
            results = [Error(explain(error, self._path)) for _ in batch]
        for job, result in zip(batch, results, strict=True):
            job.result = result

    def _attempt(self, operation: Operation[object]) -> Outcome[object]:
        self._connection.execute("SAVEPOINT job")
        try:
            value = operation(self._connection)
        except sqlite3.OperationalError:
            raise  # the disk or the file: nobody's job can be committed
        except BaseException as error:  # noqa: BLE001 -- handed to the caller whole
            self._connection.execute("ROLLBACK TO job")
            result: Outcome[object] = Error(error)
        else:
            result = Value(value)
        self._connection.execute("RELEASE job")
        return result

    def _translated(self, operation: Operation[T]) -> T:
        try:
            return operation(self._connection)
        except sqlite3.Error as error:
            raise explain(error, self._path) from error


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


@asynccontextmanager
async def open_database(path: Path) -> AsyncIterator[Database]:
    """Open the database for writing, at this version's schema. Raises: StoreDenied, StoreFull, NewerSchema."""
    connection = await trio.to_thread.run_sync(lambda: connect(path))
    with closing(connection):
        try:
            await trio.to_thread.run_sync(migrate, connection)
        except sqlite3.Error as error:
            raise explain(error, path) from error
        yield Database(connection, path)
