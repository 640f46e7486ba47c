"""Many small objects at once: one thread hop to write them, one flush for all, one hop to name them."""

from collections.abc import Sequence

import trio

from mirrorsync.errors import MirrorsyncError
from mirrorsync.model.blob import Small
from mirrorsync.model.identity import StorePath
from mirrorsync.store.directory import Directory
from mirrorsync.store.disk import Disk
from mirrorsync.store.durable import GroupSync
from mirrorsync.store.failures import in_words
from mirrorsync.store.temporary import Temporary
from mirrorsync.store.tree import Tree
from mirrorsync.store.verifier import Verifier

_DISCARD_WITHIN = 10.0
"""Seconds to wait for a free thread when temporary files must go although we were cancelled."""


class Batch:
    """Objects that are written together; each succeeds or fails by itself.

    Cancellation: what has its name keeps it, the rest leaves nothing.
    """

    def __init__(self, tree: Tree, staging: Directory, *, sync: GroupSync, disk: Disk) -> None:
        self._tree = tree
        self._staging = staging
        self._sync = sync
        self._disk = disk
        self._failures_before = sync.failures
        self._waiting: list[tuple[int, StorePath, Temporary]] = []

    async def put(self, objects: Sequence[Small]) -> list[int | MirrorsyncError]:
        """Verify and store the objects; return each one's bytes or its failure, in their order."""
        results: list[int | MirrorsyncError] = [len(small.body) for small in objects]
        try:
            await self._disk.run("files cannot be stored", self._fill, objects, results)
            await self._land(results)
        finally:
            await self._discard()
        return results

    async def publish(self, pages: Sequence[tuple[StorePath, bytes]]) -> int:
        """Replace those pages whose bytes differ from what stands; return how many. Raises: StoreError."""
        results: list[int | MirrorsyncError] = [0] * len(pages)
        try:
            await self._disk.run("pages cannot be stored", self._fill_changed, pages)
            count = len(self._waiting)
            if count:
                await self._land(results)
        finally:
            await self._discard()
        for result in results:
            if isinstance(result, MirrorsyncError):
                raise result
        return count

    def _fill(self, objects: Sequence[Small], results: list[int | MirrorsyncError]) -> None:
        for index, small in enumerate(objects):
            verifier = Verifier(small.path, small.expect)
            try:
                verifier.admit(len(small.body))
                verifier.update(small.body)
                verifier.verify()
                self._write(index, small.path, small.body)
            except MirrorsyncError as error:
                results[index] = error

    def _fill_changed(self, pages: Sequence[tuple[StorePath, bytes]]) -> None:
        for index, (path, body) in enumerate(pages):
            with in_words(f"{path} cannot be stored"):
                if self._tree.holds(path, body):
                    continue
            self._write(index, path, body)

    def _write(self, index: int, path: StorePath, body: bytes) -> None:
        temporary = Temporary(self._staging)
        self._waiting.append((index, path, temporary))
        try:
            with in_words(f"{path} cannot be stored"):
                temporary.append(body)
                temporary.close()
        except MirrorsyncError:
            self._waiting.pop()
            temporary.discard()
            raise

    async def _land(self, results: list[int | MirrorsyncError]) -> None:
        """Make the data durable, then give the names in the order of the objects."""
        with in_words("the disk cannot be flushed"):
            await self._sync.flush(failures_before=self._failures_before)
        await self._disk.run("files cannot be stored", self._name_all, results)

    def _name_all(self, results: list[int | MirrorsyncError]) -> None:
        for index, path, temporary in self._waiting:
            try:
                with in_words(f"{path} cannot be stored"):
                    temporary.move(self._tree, path)
            except MirrorsyncError as error:
                results[index] = error

    async def _discard(self) -> None:
        left = [temporary for _, _, temporary in self._waiting if temporary.exists]
        if left:
            with trio.move_on_after(_DISCARD_WITHIN, shield=True):
                await self._disk.run("files cannot be removed", _discard_all, left)


def _discard_all(temporaries: Sequence[Temporary]) -> None:
    for temporary in temporaries:
        temporary.discard()
