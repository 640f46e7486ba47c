"""The served tree as files: what any web server can serve."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from mirrorsync.errors import LowSpace, MirrorsyncError
from mirrorsync.model.identity import StorePath
from mirrorsync.model.objects import Expect, ObjectInfo, Small
from mirrorsync.model.units import format_size
from mirrorsync.store.batch import Batches, Files, Pages
from mirrorsync.store.directories import Directory
from mirrorsync.store.disk import Disk, OffLoop
from mirrorsync.store.durable import GroupSync
from mirrorsync.store.errors import in_words
from mirrorsync.store.free_space import FreeSpace
from mirrorsync.store.preflight import preflight
from mirrorsync.store.staging import StagedFile, StagedRename
from mirrorsync.store.tree import Tree
from mirrorsync.store.verifier import Verifier

_LISTED_PER_HOP = 512
_log = logging.getLogger(__name__)


class FilesystemStore:
    """`mirrorsync.ports.Store` in the directory `web`, with partial files in `staging` on the same file system.

    Files have mode 0644 and directories 0755, whatever the umask. Symbolic links below `web` are never followed:
    as an object's name they count as absent and are replaced, as a directory they raise StoreDenied.
    """

    def __init__(self, web: Path, staging: Path, *, disk: trio.CapacityLimiter, min_free: int) -> None:
        """`disk` limits the threads that work on files, `min_free` is in bytes."""
        self._web = Directory(web)
        self._staging = Directory(staging)
        self._tree = Tree(self._web)
        self._disk = Disk(disk)
        self._space = FreeSpace(self._web, self._disk, min_free=min_free)
        self.sync = GroupSync(self._web)
        """The flushes that all commits share."""
        self._batches = Batches(self._tree, self._staging, self.sync)

    @asynccontextmanager
    async def stage(self, path: StorePath, expect: Expect) -> AsyncIterator[StagedFile]:
        """See `Store.stage`. Raises: LowSpace, when a download would leave less than `min_free`."""
        size = expect.size or 0
        ours = expect.sha256 is None
        promise = self._space.promise_anyway(size) if ours else await self._space.promise(size)
        landing = self._landing(path)
        try:
            yield StagedFile(landing, Verifier(path, expect), promise)
        finally:
            promise.release()
            await landing.discard()

    async def expect_room(self, size: int) -> None:
        """See `Store.expect_room`. Raises: LowSpace, when `size` bytes more would leave less than `min_free`."""
        await self._space.expect(size)

    async def store_all(self, objects: Sequence[Small]) -> list[int | MirrorsyncError]:
        """See `Store.store_all`; each fails with LowSpace, when together they would leave less than `min_free`."""
        size = sum(len(small.body) for small in objects)
        try:
            promise = await self._space.promise(size)
        except LowSpace as error:
            return [error] * len(objects)
        try:
            results = await self._batches.store(Files(objects))
            promise.wrote(size)
        finally:
            promise.release()
        return results

    async def publish(self, path: StorePath, body: bytes) -> bool:
        """See `Store.publish`. Goes on below `min_free`: pages are small, and a page that is true matters more.

        Cancellation: replaced whole or not at all. Raises: StoreError.
        """
        return bool(await self.publish_all([(path, body)]))

    async def publish_all(self, pages: Sequence[tuple[StorePath, bytes]]) -> int:
        """See `Store.publish_all`. Raises: StoreError."""
        batch = Pages(pages)
        for result in await self._batches.store(batch):
            if isinstance(result, MirrorsyncError):
                raise result
        return batch.replaced

    def _landing(self, path: StorePath) -> StagedRename:
        return StagedRename(path, self._tree, self._staging, sync=self.sync, disk=self._disk)

    async def stat(self, path: StorePath) -> ObjectInfo | None:
        """See `Store.stat`. Raises: StoreError."""
        status = await self._disk.run_short(f"{path} cannot be looked up", self._tree.status, path)
        return status and ObjectInfo(path=path, size=status.st_size, modified=status.st_mtime)

    def read(self, path: StorePath) -> AsyncIterator[bytes]:
        """See `Store.read`. Raises: StoreError."""
        return OffLoop(self._disk, f"{path} cannot be read", self._tree.chunks(path), per_hop=1)

    async def delete(self, path: StorePath) -> None:
        """See `Store.delete`; the topmost directories stay. Raises: StoreError."""
        try:
            await self._disk.run_short(f"{path} cannot be deleted", self._tree.remove, path)
        finally:
            self.sync.loosen()

    def list(self, prefix: StorePath) -> AsyncIterator[ObjectInfo]:
        """See `Store.list`; links and names that no store path can hold are left out. Raises: StoreError."""
        what = f"{prefix or self._web.path} cannot be listed"
        return OffLoop(self._disk, what, self._tree.walk(prefix), per_hop=_LISTED_PER_HOP)

    async def settle(self) -> None:
        """See `Store.settle`. Raises: StoreError."""
        with in_words(f"{self._web.path} cannot be flushed to its disk"):
            await self.sync.settle()

    async def free_bytes(self) -> int:
        """See `Store.free_bytes`. Raises: StoreError."""
        return await self._space.measure()

    async def check(self) -> None:
        """See `Store.check`. Too little free space is only logged: pages and removals need none to speak of."""
        removed = await self._disk.run(f"{self._web.path} is not fit for a mirror", preflight, self._web, self._staging)
        if removed:
            _log.info("%s: removed %d partial files that an earlier run left", self._staging.path, removed)
        free = await self._space.measure()
        if free < self._space.min_free:
            _log.warning(
                "%s has %s free, less than min-free (%s): nothing is downloaded until there is room",
                self._web.path,
                format_size(free),
                format_size(self._space.min_free),
            )
