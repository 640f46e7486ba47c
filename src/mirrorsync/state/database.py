"""The database: one writer, group commits, every commit durable."""

import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Generic, TypeVar

import trio
from outcome import Error, Outcome, Value, capture

from mirrorsync.runtime.batched_threads import BatchedThread, Call
from mirrorsync.state.connection import connect, explain
from mirrorsync.state.schema import migrate

T = TypeVar("T")
Operation = Callable[[sqlite3.Connection], T]


class _Write(Generic[T]):
    """An operation for the next transaction."""

    def __init__(self, operation: Operation[T]) -> None:
        self.operation = operation


class _Read(_Write[T]):
    """An operation that changes nothing and needs no transaction."""


class Database:
    """The mirror's SQLite file. Operations that wait at the same time share one transaction (group commit).

    An operation is a function of the connection. Each runs exactly once; if it raises, only its own changes are
    rolled back.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._thread = BatchedThread(self._serve, lanes=1)
        self.commits = 0
        """Transactions committed so far."""

    async def write(self, operation: Operation[T]) -> T:
        """Run `operation` in a transaction; on return it is durable.

        Cancellation: the transaction is committed whole or not at all.
        Raises: what `operation` raises; StoreFull, StoreDenied if the database cannot be written.
        """
        result: T = await self._thread.call(_Write(operation))
        return result

    async def read(self, operation: Operation[T]) -> T:
        """Run `operation`, which must change nothing, between two transactions."""
        result: T = await self._thread.call(_Read(operation))
        return result

    @asynccontextmanager
    async def reader(self) -> AsyncIterator[sqlite3.Connection]:
        """Open a second, read-only connection with a snapshot of its own, for long queries."""
        connection = await trio.to_thread.run_sync(lambda: connect(self._path, read_only=True))
        with closing(connection):
            yield connection

    def _serve(self, calls: Sequence[Call]) -> None:
        writes = [call for call in calls if not isinstance(call.work, _Read)]
        if writes:
            for call, result in zip(writes, self._commit([call.work.operation for call in writes]), strict=True):
                call.result = result
        for call in calls:
            if isinstance(call.work, _Read):
                call.result = capture(self._translated, call.work.operation)

    def _commit(self, operations: Sequence[Operation[object]]) -> list[Outcome[object]]:
        """Run the operations in one transaction; return their outcomes. Blocks."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            results = [self._attempt(operation) for operation in operations]
            self._connection.execute("COMMIT")
            self.commits += 1
        except sqlite3.Error as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            # One object for each: an outcome can be unwrapped only once.
            return [Error(explain(error, self._path)) for _ in operations]
        return results

    def _attempt(self, operation: Operation[object]) -> Outcome[object]:
        self._connection.execute("SAVEPOINT operation")
        try:
            value = operation(self._connection)
        except sqlite3.OperationalError:
            raise  # the disk or the file: nothing can be committed
        except BaseException as error:  # noqa: BLE001 -- passed to the caller unchanged
            self._connection.execute("ROLLBACK TO operation")
            result: Outcome[object] = Error(error)
        else:
            result = Value(value)
        self._connection.execute("RELEASE operation")
        return result

    def _translated(self, operation: Operation[T]) -> T:
        try:
            return operation(self._connection)
        except sqlite3.Error as error:
            raise explain(error, self._path) from error


@asynccontextmanager
async def open_database(path: Path) -> AsyncIterator[Database]:
    """Open the database for writing and migrate it. Raises: StoreDenied, StoreFull, NewerSchema."""
    connection = await trio.to_thread.run_sync(lambda: connect(path))
    with closing(connection):
        try:
            await trio.to_thread.run_sync(migrate, connection)
        except sqlite3.Error as error:
            raise explain(error, path) from error
        yield Database(connection, path)
