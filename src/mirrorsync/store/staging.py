"""An object on its way into the file system: written, verified, made durable, and only then named."""

from collections.abc import Callable
from typing import Final

import trio

from mirrorsync.model.identity import StorePath
from mirrorsync.model.objects import Chunk
from mirrorsync.store.directories import Directory
from mirrorsync.store.disk import SHORT, Disk
from mirrorsync.store.durable import GroupSync
from mirrorsync.store.errors import in_words
from mirrorsync.store.free_space import SpaceReservation
from mirrorsync.store.temp_files import TempFile
from mirrorsync.store.tree import CHUNK, Tree
from mirrorsync.store.verifier import Verifier

_DISCARD_WITHIN: Final = 10.0
"""Seconds to wait for a free thread when a temporary file must go although we were cancelled."""


class StagedRename:
    """A temporary file and the name that it is to have."""

    def __init__(self, path: StorePath, tree: Tree, staging: Directory, *, sync: GroupSync, disk: Disk) -> None:
        self.temporary = TempFile(staging)
        self.tree = tree
        self.disk = disk
        self.what = f"{path} cannot be stored"
        self._path = path
        self._sync = sync
        self._failures_before = sync.failures

    async def land(self) -> None:
        """Make the temporary file's data durable, then give it its name, which `settle` makes durable.

        Raises: StoreError.
        """
        with in_words(self.what):
            await self._sync.flush(failures_before=self._failures_before)
        try:
            await self.disk.run_short(self.what, self.temporary.move, self.tree, self._path)
        finally:
            self._sync.loosen()

    async def discard(self) -> None:
        """Remove the temporary file, if there still is one, also when cancelled."""
        if self.temporary.exists:
            with trio.move_on_after(_DISCARD_WITHIN, shield=True):
                await self.disk.run_short(self.what, self.temporary.discard)


class StagedFile:
    """`mirrorsync.ports.Staged` for a file: a thread hop for each MiB, none for a small body until its commit."""

    def __init__(self, landing: StagedRename, verifier: Verifier, promise: SpaceReservation) -> None:
        self._landing = landing
        self._verifier = verifier
        self._promise = promise
        self._waiting: list[Chunk] = []
        self._waiting_size = 0
        self._open = True

    async def write(self, chunk: Chunk) -> None:
        """See `Staged.write`. Cancellation: `chunk` may be taken or not; leave the context."""
        self._refuse_if_closed()
        self._verifier.admit(len(chunk))
        self._waiting.append(chunk)
        self._waiting_size += len(chunk)
        if self._waiting_size < CHUNK:
            await trio.lowlevel.checkpoint()
        else:
            await self._to_disk(self._append)

    async def commit(self) -> int:
        """See `Staged.commit`."""
        self._refuse_if_closed()
        await self._to_disk(self._finish)
        await self._landing.land()
        return self._verifier.received

    async def _to_disk(self, work: Callable[[Chunk], None]) -> None:
        body = self._waiting[0] if len(self._waiting) == 1 else b"".join(self._waiting)
        disk = self._landing.disk
        run = disk.run_short if len(body) <= SHORT else disk.run
        await run(self._landing.what, work, body)
        self._promise.wrote(len(body))
        self._waiting.clear()
        self._waiting_size = 0

    def _append(self, body: Chunk) -> None:
        self._open = False  # a write that fails half-way must not be committed, whatever its caller does
        self._verifier.update(body)
        self._landing.temporary.append(body)
        self._open = True

    def _finish(self, body: Chunk) -> None:
        self._open = False
        self._verifier.update(body)
        self._verifier.verify()
        self._landing.temporary.append(body)
        self._landing.temporary.close()

    def _refuse_if_closed(self) -> None:
        if not self._open:
            raise trio.ClosedResourceError
