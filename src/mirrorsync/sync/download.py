"""Bringing one file, and its sidecar, into the store."""

import hashlib
from typing import Final

import trio

from mirrorsync.errors import MirrorsyncError, Missing
from mirrorsync.model.blob import Expect, Remote
from mirrorsync.model.identity import StorePath
from mirrorsync.model.outcome import StoredFile
from mirrorsync.simple import layout
from mirrorsync.state.inventory import Need
from mirrorsync.sync.parts import Parts

_FILE_LIMIT: Final = 4 * 2**30
"""Bytes at most of a file whose size the index does not tell (PyPI's own cap is 1 GiB)."""
_SIDECAR_LIMIT: Final = 16 * 2**20
"""Bytes at most of a `.metadata` sidecar: its text is bounded by the 100 MiB wheel that it describes; real ones
stay below 1 MiB."""
_AT_ONCE: Final = 10
"""Files of one project under way at once; the connections are limited by the client."""


async def fetch_all(parts: Parts, needs: tuple[Need, ...]) -> list[StoredFile | MirrorsyncError]:
    """Bring in what is lacking; each result stands at its need's index.

    Files are independent: one that fails does not stop the others, and what came in is found again later.
    Cancellation: nothing partial is left.
    """
    results: list[StoredFile | MirrorsyncError | None] = [None] * len(needs)
    indexes = iter(range(len(needs)))

    async def work() -> None:
        for index in indexes:
            try:
                results[index] = await _fetch(parts, needs[index])
            except MirrorsyncError as error:
                results[index] = error

    if len(needs) == 1:
        await work()
    else:
        async with trio.open_nursery() as nursery:
            for _ in range(min(_AT_ONCE, len(needs))):
                nursery.start_soon(work)
    return [result for result in results if result is not None]


async def _fetch(parts: Parts, need: Need) -> StoredFile:
    file = need.file
    size = file.size or 0
    if need.lacks_file:
        size = await _bring(
            parts,
            layout.file_path(file.place, file.filename),
            Remote(url=file.url, size=file.size, limit=_FILE_LIMIT if file.size is None else file.size),
            Expect(size=file.size, sha256=file.hashes.sha256, limit=_FILE_LIMIT if file.size is None else file.size),
            may_be_here=need.may_be_here,
        )
    sidecar = file.core_metadata
    if need.lacks_sidecar and sidecar is not None:
        try:
            await _bring(
                parts,
                layout.sidecar_path(file.place, file.filename),
                Remote(url=f"{file.url}.metadata", size=None, limit=_SIDECAR_LIMIT),
                Expect(size=None, sha256=sidecar, limit=_SIDECAR_LIMIT),
                may_be_here=need.may_be_here,
            )
        except Missing:
            # A convenience that upstream lost holds nothing up: the page just does not advertise it.
            sidecar = None
    return StoredFile(
        place=file.place,
        filename=file.filename,
        size=size,
        file_is_new=need.lacks_file,
        metadata_sha256=sidecar,
    )


async def _bring(parts: Parts, path: StorePath, remote: Remote, expect: Expect, *, may_be_here: bool) -> int:
    """Make `path` hold what `expect` says, by the bytes that stand there if they are right; return its size."""
    if may_be_here:
        size = await _size_if_right(parts, path, expect)
        if size is not None:
            return size
    async with parts.upstream.open(remote) as body, parts.store.stage(path, expect) as staged:
        async for chunk in body:
            await staged.write(chunk)
            parts.audience.fetched(len(chunk))
        return await staged.commit()


async def _size_if_right(parts: Parts, path: StorePath, expect: Expect) -> int | None:
    info = await parts.store.stat(path)
    if info is None or (expect.size is not None and info.size != expect.size):
        return None
    digest = hashlib.sha256()
    async for chunk in parts.store.read(path):
        await trio.to_thread.run_sync(digest.update, chunk)
    return info.size if digest.digest() == expect.sha256 else None
