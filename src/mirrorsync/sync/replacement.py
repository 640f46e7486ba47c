"""Replacing a large object piece by piece, unless it stands already: `Store.publish` for what no memory should hold."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mirrorsync.model.identity import StorePath
from mirrorsync.model.objects import Expect
from mirrorsync.ports import Staged, Store


class Replacement:
    """An object on its way in, compared as it comes with the one that stands."""

    def __init__(self, store: Store, path: StorePath, staged: Staged, *, differs: bool) -> None:
        """`differs`: whether it is known to differ before its first piece, as when nothing stands."""
        self._standing = store.read(path)
        self._staged = staged
        self._differs = differs
        self._ahead = b""

    async def write(self, piece: bytes) -> None:
        """Append `piece`. Raises: StoreError."""
        await self._staged.write(piece)
        if not self._differs:
            self._differs = not await self._continues_with(piece)

    async def commit(self) -> bool:
        """Replace what stands, durably as by `Staged.commit`; tell whether it differed. Raises: StoreError."""
        if not self._differs and not self._ahead:
            self._ahead = await anext(self._standing, b"")
        if not self._differs and not self._ahead:
            return False
        await self._staged.commit()
        return True

    async def _continues_with(self, piece: bytes) -> bool:
        while len(self._ahead) < len(piece):
            chunk = await anext(self._standing, b"")
            if not chunk:
                return False
            self._ahead += chunk
        same = self._ahead.startswith(piece)
        self._ahead = self._ahead[len(piece) :]
        return same


@asynccontextmanager
async def replacing(store: Store, path: StorePath) -> AsyncIterator[Replacement]:
    """Open a replacement of the object at `path`; leaving the context without `commit` leaves that as it is.

    Holds some 2 MiB. Raises: StoreError. Cancellation: the object is replaced whole or not at all.
    """
    differs = await store.stat(path) is None
    async with store.stage(path, Expect(size=None, sha256=None)) as staged:
        yield Replacement(store, path, staged, differs=differs)
