"""A store and a database for crash tests: each durable effect is one step, and the process may die before any."""

import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

import trio

from mirrorsync.errors import Recovery
from mirrorsync.model.identity import StorePath
from mirrorsync.model.objects import ObjectInfo
from mirrorsync.state.database import Database, Operation
from mirrorsync.state.schema import migrate
from tests.contract.memory_store import MemoryStore

T = TypeVar("T")
Object = tuple[bytes, float]


class Death(BaseException):
    """The process has died. Nothing may handle it."""

    recovery = Recovery.HALT


class Life:
    """Counts the durable steps of one process, and ends it before step `dies_at`."""

    def __init__(self, dies_at: int | None = None) -> None:
        self.dies_at = dies_at
        self.steps = 0
        self.dead = False
        self.log: list[str] = []
        """A description of each step."""
        self.watch: Callable[[str], None] = lambda _: None
        """Called after each step."""

    def go_on(self) -> None:
        """Raise Death if the process has died."""
        if self.dead:
            raise Death

    def step(self, what: str, act: Callable[[], object]) -> None:
        self.go_on()
        if self.steps == self.dies_at:
            self.dead = True
            raise Death(what)
        act()
        self.steps += 1
        self.log.append(what)
        self.watch(what)


class MortalStore(MemoryStore):
    """A store in memory that tracks what a power cut may take."""

    def __init__(self) -> None:
        super().__init__()
        self.life = Life()
        self.unsettled: dict[StorePath, list[Object | None]] = {}
        """The versions at each path since it was last durable, oldest first: a power cut leaves any one of them."""

    def put(self, path: StorePath, body: bytes) -> None:
        def act() -> None:
            self._note(path)
            MemoryStore.put(self, path, body)
            self.unsettled[path].append(self.objects[path])

        self.life.step(f"store {path}", act)

    def harden(self, paths: Sequence[StorePath]) -> None:
        # A real flush would also flush other changes, but no caller may rely on that.
        loose = [path for path in paths if path in self.unsettled]

        def act() -> None:
            for path in loose:
                del self.unsettled[path]

        if loose:
            self.life.step(f"flush {loose[-1]}", act)

    async def delete(self, path: StorePath) -> None:
        await trio.lowlevel.checkpoint()
        self.life.go_on()
        if path in self.objects:
            self.life.step(f"delete {path}", lambda: self._remove(path))

    def _remove(self, path: StorePath) -> None:
        self._note(path)
        del self.objects[path]
        self.unsettled[path].append(None)

    def _note(self, path: StorePath) -> None:
        self.unsettled.setdefault(path, [self.objects.get(path)])

    async def settle(self) -> None:
        await trio.lowlevel.checkpoint()
        self.life.go_on()
        if self.unsettled:
            self.life.step("settle", self.unsettled.clear)

    async def stat(self, path: StorePath) -> ObjectInfo | None:
        self.life.go_on()
        return await super().stat(path)

    def cut_power(self, choose: Callable[[list[Object | None]], Object | None]) -> None:
        """Leave, at each path that is not durable, the version that `choose` picks."""
        for path, versions in self.unsettled.items():
            left = choose(versions)
            if left is None:
                self.objects.pop(path, None)
            else:
                self.objects[path] = left
        self.unsettled = {}


class MortalDatabase(Database):
    """The real statements on a database in memory; each transaction is one step, and durable."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection, Path("state-in-memory"))
        self.connection = connection
        self.life = Life()

    async def write(self, operation: Operation[T]) -> T:
        await trio.lowlevel.checkpoint()
        results: list[Any] = []
        self.life.step(f"commit {_name(operation)}", lambda: results.extend(self._commit([operation])))
        return cast("T", results[0].unwrap())

    async def read(self, operation: Operation[T]) -> T:
        await trio.lowlevel.checkpoint()
        self.life.go_on()
        return self._translated(operation)

    @asynccontextmanager
    async def reader(self) -> AsyncIterator[sqlite3.Connection]:
        self.life.go_on()
        yield self.connection


def _name(operation: Operation[T]) -> str:
    return operation.__qualname__.replace("State.", "").split(".")[0]


def memory(image: bytes | None = None) -> sqlite3.Connection:
    """Return a database in memory: a new one, or a copy of `image`."""
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    if image is not None:
        connection.deserialize(image)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA foreign_keys = ON")
    if image is None:
        migrate(connection)
    return connection
