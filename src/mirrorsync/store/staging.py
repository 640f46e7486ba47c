"""Storing one object: written to a temporary file, verified, flushed, and only then renamed."""

from collections.abc import Callable
from typing import Final

import trio

from mirrorsync.model.identity import StorePath
from mirrorsync.model.objects import Chunk
from mirrorsync.store.directories import Directory
from mirrorsync.store.disk import SHORT, Disk
from mirrorsync.store.durable import GroupSync
from mirrorsync.store.errors import store_errors
from mirrorsync.store.free_space import SpaceReservation
from mirrorsync.store.temp_files import TempFile
from mirrorsync.store.tree import CHUNK, Tree
from mirrorsync.store.verifier import Verifier

_DISCARD_WITHIN: Final = 10.0
"""Seconds to wait for a free thread to remove a temporary file after cancellation."""


class StagedRename:
    """A temporary file and its final path."""

    def __init__(self, path: StorePath, tree: Tree, staging: Directory, *, sync: GroupSync, disk: Disk) -> None:
        self.temporary = TempFile(staging)
        self.tree = tree
        self.disk = disk
        self.what = f"{path} cannot be stored"
        self._path = path
        self._sync = sync
        self._failures_before = sync.failures

    async def finish(self) -> None:
        """Flush the temporary file's data, then rename it; `settle` makes the rename durable.

        Raises: StoreError.
        """
        with store_errors(self.what):
            await self._sync.flush(failures_before=self._failures_before)
        try:
            await self.disk.run_short(self.what, self.temporary.move, self.tree, self._path)
        finally:
            self._sync.mark_unflushed()

    async def discard(self) -> None:
        """Remove the temporary file if it still exists, also when cancelled."""
        if self.temporary.exists:
            with trio.move_on_after(_DISCARD_WITHIN, shield=True):
                await self.disk.run_short(self.what, self.temporary.discard)


class StagedFile:
    """`mirrorsync.ports.Staged` for a file, with one thread hop per MiB; a small body needs one at its commit."""

    def __init__(self, rename: StagedRename, verifier: Verifier, reservation: SpaceReservation) -> None:
        self._rename = rename
        self._verifier = verifier
        self._reservation = reservation
        self._buffered: list[Chunk] = []
        self._buffered_size = 0
        self._open = True

    async def write(self, chunk: Chunk) -> None:
        """See `Staged.write`. Cancellation: it is undefined whether `chunk` was written; leave the context."""
        self._refuse_if_closed()
        self._verifier.admit(len(chunk))
        self._buffered.append(chunk)
        self._buffered_size += len(chunk)
        if self._buffered_size < CHUNK:
            await trio.lowlevel.checkpoint()
        else:
            await self._to_disk(self._append)

    async def commit(self) -> int:
        """See `Staged.commit`."""
        self._refuse_if_closed()
        await self._to_disk(self._finish)
        await self._rename.finish()
        return self._verifier.received

    async def _to_disk(self, work: Callable[[Chunk], None]) -> None:
        body = self._buffered[0] if len(self._buffered) == 1 else b"".join(self._buffered)
        disk = self._rename.disk
        run = disk.run_short if len(body) <= SHORT else disk.run
        await run(self._rename.what, work, body)
        self._reservation.wrote(len(body))
        self._buffered.clear()
        self._buffered_size = 0

    def _append(self, body: Chunk) -> None:
        self._open = False  # an object whose write failed in part must never be committed
        self._verifier.update(body)
        self._rename.temporary.append(body)
        self._open = True

    def _finish(self, body: Chunk) -> None:
        self._open = False
        self._verifier.update(body)
        self._verifier.verify()
        self._rename.temporary.append(body)
        self._rename.temporary.close()

    def _refuse_if_closed(self) -> None:
        if not self._open:
            raise trio.ClosedResourceError
