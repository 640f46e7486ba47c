"""The served tree as files, for any web server."""

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
from mirrorsync.store.errors import store_errors
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
    an object that is a link counts as absent and is replaced, a directory that is a link raises StoreDenied.
    """

    def __init__(self, web: Path, staging: Path, *, disk: trio.CapacityLimiter, min_free: int) -> None:
        """`disk` limits the threads for file work; `min_free` is in bytes."""
        self._web = Directory(web)
        self._staging = Directory(staging)
        self._tree = Tree(self._web)
        self._disk = Disk(disk)
        self._space = FreeSpace(self._web, self._disk, min_free=min_free)
        self.sync = GroupSync(self._web)
        """Shared by all commits."""
        self._batches = Batches(self._tree, self._staging, self.sync)

    @asynccontextmanager
    async def stage(self, path: StorePath, expect: Expect) -> AsyncIterator[StagedFile]:
        """See `Store.stage`. Raises: LowSpace, when a download would leave less than `min_free`."""
        size = expect.size or 0
        is_our_own = expect.sha256 is None
        reservation = self._space.reserve_always(size) if is_our_own else await self._space.reserve(size)
        rename = StagedRename(path, self._tree, self._staging, sync=self.sync, disk=self._disk)
        try:
            yield StagedFile(rename, Verifier(path, expect), reservation)
        finally:
            reservation.release()
            await rename.discard()

    async def expect_room(self, size: int) -> None:
        """See `Store.expect_room`. Raises: LowSpace, when `size` more bytes would leave less than `min_free`."""
        await self._space.refuse_low(size)

    async def store_all(self, objects: Sequence[Small]) -> list[int | MirrorsyncError]:
        """See `Store.store_all`. All fail with LowSpace when they would leave less than `min_free`."""
        size = sum(len(small.body) for small in objects)
        try:
            reservation = await self._space.reserve(size)
        except LowSpace as error:
            return [error] * len(objects)
        try:
            results = await self._batches.store(Files(objects))
            reservation.wrote(size)
        finally:
            reservation.release()
        return results

    async def publish(self, path: StorePath, body: bytes) -> bool:
        """See `Store.publish`. Works below `min_free`: pages are small, and must stay up to date.

        Cancellation: the object is replaced as a whole or not at all. Raises: StoreError.
        """
        return bool(await self.publish_all([(path, body)]))

    async def publish_all(self, pages: Sequence[tuple[StorePath, bytes]]) -> int:
        """See `Store.publish_all`. Raises: StoreError."""
        batch = Pages(pages)
        for result in await self._batches.store(batch):
            if isinstance(result, MirrorsyncError):
                raise result
        return batch.replaced

    async def stat(self, path: StorePath) -> ObjectInfo | None:
        """See `Store.stat`. Raises: StoreError."""
        status = await self._disk.run_short(f"{path} cannot be examined", self._tree.status, path)
        return status and ObjectInfo(path=path, size=status.st_size, modified=status.st_mtime)

    def read(self, path: StorePath) -> AsyncIterator[bytes]:
        """See `Store.read`. Raises: StoreError."""
        return OffLoop(self._disk, f"{path} cannot be read", self._tree.chunks(path), per_hop=1)

    async def delete(self, path: StorePath) -> None:
        """See `Store.delete`; the topmost directories stay. Raises: StoreError."""
        try:
            await self._disk.run_short(f"{path} cannot be deleted", self._tree.remove, path)
        finally:
            self.sync.mark_unflushed()

    def list(self, prefix: StorePath) -> AsyncIterator[ObjectInfo]:
        """See `Store.list`. Links, and names that are no store path, are omitted. Raises: StoreError."""
        what = f"{prefix or self._web.path} cannot be listed"
        return OffLoop(self._disk, what, self._tree.walk(prefix), per_hop=_LISTED_PER_HOP)

    async def settle(self) -> None:
        """See `Store.settle`. Raises: StoreError."""
        with store_errors(f"{self._web.path} cannot be flushed to its disk"):
            await self.sync.settle()

    async def free_bytes(self) -> int:
        """See `Store.free_bytes`. Raises: StoreError."""
        return await self._space.measure()

    async def check(self) -> None:
        """See `Store.check`. Low free space is only logged: pages and removals need hardly any."""
        removed = await self._disk.run(
            f"{self._web.path} is not usable for a mirror", preflight, self._web, self._staging
        )
        if removed:
            _log.info("%s: removed %d partial files of an earlier run", self._staging.path, removed)
        free = await self._space.measure()
        if free < self._space.min_free:
            _log.warning(
                "%s has %s free, less than min-free (%s): nothing is downloaded until there is more",
                self._web.path,
                format_size(free),
                format_size(self._space.min_free),
            )
