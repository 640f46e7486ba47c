"""Publishing the root index: all its forms from one pass over the state, and not more often than it is worth."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import trio

from mirrorsync.model.identity import Serial, StorePath
from mirrorsync.model.objects import Expect
from mirrorsync.ports import Staged, Store
from mirrorsync.runtime.heartbeat import beat
from mirrorsync.simple import gzipped, layout
from mirrorsync.simple.root import Row, root_parts
from mirrorsync.sync.context import SyncContext

_PAUSE: Final = 20.0
"""The daemon waits this many times as long as the last writing took before it writes again: at most 5 % of a core."""

Pieces = Mapping[StorePath, bytes]
"""The next bytes of each object."""


class RootIndexPacer:
    """Decides when the daemon writes the root index again."""

    def __init__(self) -> None:
        self.is_owed = False
        """The published root index may be behind the state."""
        self._not_before = -float("inf")
        self._is_unlimited = False

    def hurry(self) -> None:
        """From now on write it whenever it is behind, as at the end of a run."""
        self._is_unlimited = True

    @property
    def is_due(self) -> bool:
        """Whether it may be written now."""
        return self._is_unlimited or trio.current_time() >= self._not_before

    async def publish(self, context: SyncContext) -> None:
        """Call `publish_root` now or, where that would be too often, at a later call; `is_owed` says which."""
        self.is_owed = True
        if not self.is_due:
            return
        began = trio.current_time()
        await publish_root(context)
        ended = trio.current_time()
        self._not_before = ended + _PAUSE * (ended - began)
        self.is_owed = False


async def publish_root(context: SyncContext) -> bool:
    """Publish the root index if it is behind the state; return whether it was.

    It claims the serial up to which everything is served, never more (I2), and for each project the serial of its
    published page, so that this mirror can be another one's upstream. A form with equal bytes stays untouched: names
    change far less often than serials.
    """
    mirror = await context.state.mirror()
    serial = await context.state.synced_serial()
    if mirror.root_version == mirror.root_published_version and mirror.published_serial == serial:
        return False
    await context.state.outbox.intend_root()
    with context.timed("root_index"):
        await _write(context, serial)
    await context.store.settle()
    await context.state.root_published(serial, mirror.root_version)
    return True


async def _write(context: SyncContext, serial: Serial | None) -> None:
    """Stream the index from the state to the store: with 750,000 projects it has tens of megabytes.

    JSON goes last, because web servers take the serial of the HTML from it; a sibling goes before its page.
    """
    paths = layout.root_paths()
    order = [
        path
        for page in (paths.html, paths.index_html, paths.json)
        for path in ((gzipped.sibling(page), page) if context.policy.gzip else (page,))
    ]
    async with AsyncExitStack() as stack:
        batches = await stack.enter_async_context(context.state.present())
        targets = {path: await stack.enter_async_context(replacing(context.store, path)) for path in order}
        pieces = _with_siblings(batches, serial) if context.policy.gzip else _pages(batches, serial)
        while piece := await trio.to_thread.run_sync(next, pieces, None):
            for path, body in piece.items():
                await targets[path].write(body)
            beat()
        for path in order:
            await targets[path].commit()


def _pages(batches: Iterator[Sequence[Row]], serial: Serial | None) -> Iterator[Pieces]:
    paths = layout.root_paths()
    for part in root_parts(batches, serial):
        yield {paths.html: part.html, paths.index_html: part.html, paths.json: part.json}


def _with_siblings(batches: Iterator[Sequence[Row]], serial: Serial | None) -> Iterator[Pieces]:
    paths = layout.root_paths()
    siblings = [gzipped.sibling(path) for path in (paths.html, paths.index_html, paths.json)]
    html, json = gzipped.Packer(), gzipped.Packer()
    for pieces in _pages(batches, serial):
        packed = html.pack(pieces[paths.html])
        yield {**pieces, **dict(zip(siblings, (packed, packed, json.pack(pieces[paths.json])), strict=True))}
    rest = html.end()
    yield dict(zip(siblings, (rest, rest, json.end()), strict=True))


class Replacement:
    """Writes a large object in pieces, and compares it with the published one: a streaming `Store.publish`."""

    def __init__(self, store: Store, path: StorePath, staged: Staged, *, differs: bool) -> None:
        """`differs`: whether it is known to differ before its first piece, as when nothing is published."""
        self._published = store.read(path)
        self._staged = staged
        self._differs = differs
        self._ahead = b""

    async def write(self, piece: bytes) -> None:
        """Append `piece`. Raises: StoreError."""
        await self._staged.write(piece)
        if not self._differs:
            self._differs = not await self._continues_with(piece)

    async def commit(self) -> bool:
        """Replace the published object if it differs, as durably as `Staged.commit`; return whether it did.

        Raises: StoreError.
        """
        if not self._differs and not self._ahead:
            self._ahead = await anext(self._published, b"")
        if not self._differs and not self._ahead:
            return False
        await self._staged.commit()
        return True

    async def _continues_with(self, piece: bytes) -> bool:
        while len(self._ahead) < len(piece):
            chunk = await anext(self._published, b"")
            if not chunk:
                return False
            self._ahead += chunk
        same = self._ahead.startswith(piece)
        self._ahead = self._ahead[len(piece) :]
        return same


@asynccontextmanager
async def replacing(store: Store, path: StorePath) -> AsyncIterator[Replacement]:
    """Open a replacement of the object at `path`; without `commit` the object stays as it is.

    Holds about 2 MiB. Raises: StoreError. Cancellation: the object is replaced whole or not at all.
    """
    differs = await store.stat(path) is None
    async with store.stage(path, Expect(size=None, sha256=None)) as staged:
        yield Replacement(store, path, staged, differs=differs)
