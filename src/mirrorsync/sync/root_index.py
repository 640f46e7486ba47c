"""Making the root index public: all its forms from one walk of the ledger, and not more often than it is worth."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Final

import trio

from mirrorsync.model.identity import Serial, StorePath
from mirrorsync.runtime.heartbeat import beat
from mirrorsync.simple import gzipped, layout
from mirrorsync.simple.root import Row, root_parts
from mirrorsync.sync.context import SyncContext
from mirrorsync.sync.replacement import replacing
from mirrorsync.sync.timing import timed

_REST: Final = 20.0
"""The daemon leaves the root index alone for this many times what its last writing took: 5 % of a core at most."""

Pieces = Mapping[StorePath, bytes]
"""What comes next of each object."""


class Pace:
    """When the daemon may write the root index again."""

    def __init__(self) -> None:
        self.owes = False
        """Whether the root index that stands may be behind the ledger."""
        self._not_before = -float("inf")
        self._hurries = False

    def hurry(self) -> None:
        """Write it whenever it is behind, as at the end."""
        self._hurries = True

    @property
    def is_due(self) -> bool:
        """Whether it may be written now."""
        return self._hurries or trio.current_time() >= self._not_before

    async def publish(self, context: SyncContext) -> None:
        """As `publish_root`, now or, where that would be too often, at a later call: `owes` tells."""
        self.owes = True
        if not self.is_due:
            return
        began = trio.current_time()
        await publish_root(context)
        ended = trio.current_time()
        self._not_before = ended + _REST * (ended - began)
        self.owes = False


async def publish_root(context: SyncContext) -> bool:
    """Bring the root index up to what the ledger says, if it is behind; True when it was.

    It claims the serial up to which everything is served, never more (I2), and of each project the serial of the
    page that stands, so that this mirror can be another one's upstream. A form whose bytes are the same stays
    untouched: names change far more seldom than serials.
    """
    mirror = await context.state.mirror()
    serial = await context.state.synced_serial()
    if mirror.root_version == mirror.root_published_version and mirror.published_serial == serial:
        return False
    await context.state.outbox.about_to_publish_root()
    await _write(context, serial)
    await context.store.settle()
    await context.state.root_published(serial, mirror.root_version)
    return True


@timed("root_index")
async def _write(context: SyncContext, serial: Serial | None) -> None:
    """Stream the index from the ledger to the store: at 750,000 projects it is tens of megabytes.

    JSON goes last, for web servers read from it which serial HTML carries; a sibling goes before its page.
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
