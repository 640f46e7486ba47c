"""A store in memory: fast, and able to simulate a power cut."""

import math
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import trio

from mirrorsync.errors import MirrorsyncError, StoreDenied
from mirrorsync.model.identity import StorePath
from mirrorsync.model.objects import Chunk, Expect, ObjectInfo, Small
from mirrorsync.store.verifier import Verifier

CHUNK = 1 << 20

T = TypeVar("T")


class Steps(AsyncIterator[T]):
    """An iterator with a checkpoint at each step; it is no async generator, so that it may be abandoned."""

    def __init__(self, items: Iterator[T]) -> None:
        self._items = items

    async def __anext__(self) -> T:
        await trio.lowlevel.checkpoint()
        for item in self._items:
            return item
        raise StopAsyncIteration


class MemoryStaged:
    def __init__(self, store: "MemoryStore", path: StorePath, expect: Expect) -> None:
        self._store = store
        self._path = path
        self._verifier = Verifier(path, expect)
        self._body = bytearray()

    async def write(self, chunk: Chunk) -> None:
        await trio.lowlevel.checkpoint()
        self._verifier.admit(len(chunk))
        self._verifier.update(chunk)
        self._body += chunk

    async def commit(self) -> int:
        await trio.lowlevel.checkpoint()
        self._verifier.verify()
        self._store.put(self._path, bytes(self._body))
        return len(self._body)


class MemoryStore:
    """Each operation is one checkpoint and then one atomic step."""

    def __init__(self) -> None:
        self.objects: dict[StorePath, tuple[bytes, float]] = {}
        """What is visible: body, and modification time in seconds."""
        self.settled: dict[StorePath, tuple[bytes, float]] = {}
        """What survives a power cut."""
        self.staged = 0
        """Number of staged objects."""
        self._changes = 0.0

    def put(self, path: StorePath, body: bytes) -> None:
        self._changes += 1
        self.objects[path] = (body, self._changes)

    def harden(self, paths: Sequence[StorePath]) -> None:
        """Make the objects at `paths` durable."""
        self.settled |= {path: self.objects[path] for path in paths}

    def lose_power(self) -> None:
        """Go back to what was settled, the least that a power cut must leave."""
        self.objects = dict(self.settled)
        self.staged = 0

    @asynccontextmanager
    async def stage(self, path: StorePath, expect: Expect) -> AsyncIterator[MemoryStaged]:
        await trio.lowlevel.checkpoint()
        self.staged += 1
        try:
            yield MemoryStaged(self, path, expect)
        finally:
            self.staged -= 1

    async def expect_room(self, size: int) -> None:  # noqa: ARG002 -- memory has no limit here
        await trio.lowlevel.checkpoint()

    async def store_all(self, objects: Sequence[Small]) -> list[int | MirrorsyncError]:
        results: list[int | MirrorsyncError] = []
        for small in objects:
            try:
                async with self.stage(small.path, small.expect) as staged:
                    await staged.write(small.body)
                    results.append(await staged.commit())
            except MirrorsyncError as error:
                results.append(error)
        self.harden([small.path for small, result in zip(objects, results, strict=True) if isinstance(result, int)])
        return results

    async def publish_all(self, pages: Sequence[tuple[StorePath, bytes]]) -> int:
        replaced = 0
        for path, body in pages:
            await trio.lowlevel.checkpoint()
            if path not in self.objects or self.objects[path][0] != body:
                self.put(path, body)
                replaced += 1
        self.harden([path for path, _ in pages])
        return replaced

    async def publish(self, path: StorePath, body: bytes) -> bool:
        return bool(await self.publish_all([(path, body)]))

    async def stat(self, path: StorePath) -> ObjectInfo | None:
        await trio.lowlevel.checkpoint()
        return self._info(path) if path in self.objects else None

    def _info(self, path: StorePath) -> ObjectInfo:
        body, modified = self.objects[path]
        return ObjectInfo(path=path, size=len(body), modified=modified)

    def read(self, path: StorePath) -> AsyncIterator[bytes]:
        return Steps(self._chunks(path))

    def _chunks(self, path: StorePath) -> Iterator[bytes]:
        if path not in self.objects:
            raise StoreDenied(f"{path} is not in the store", hint="this store is a test's")
        body, _ = self.objects[path]
        for part in range(math.ceil(len(body) / CHUNK)):
            yield body[part * CHUNK : (part + 1) * CHUNK]

    async def delete(self, path: StorePath) -> None:
        await trio.lowlevel.checkpoint()
        self.objects.pop(path, None)

    def list(self, prefix: StorePath) -> AsyncIterator[ObjectInfo]:
        return Steps(self._found(prefix))

    def _found(self, prefix: StorePath) -> Iterator[ObjectInfo]:
        for path in tuple(self.objects):
            if path in self.objects and (not prefix or path.startswith(f"{prefix}/")):
                yield self._info(path)

    async def settle(self) -> None:
        await trio.lowlevel.checkpoint()
        self.settled = dict(self.objects)

    async def free_bytes(self) -> int | None:
        await trio.lowlevel.checkpoint()
        return None

    async def check(self) -> None:
        await trio.lowlevel.checkpoint()
