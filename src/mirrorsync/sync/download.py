"""Downloading files and their sidecars into the store: small ones in batches, large ones as streams."""

import hashlib
from collections.abc import Sequence
from typing import Final

import msgspec
import trio

from mirrorsync.errors import MirrorsyncError, Missing, WrongSize
from mirrorsync.model.identity import StorePath
from mirrorsync.model.objects import Expect, Remote, Small
from mirrorsync.model.outcome import StoredFile
from mirrorsync.runtime.heartbeat import beat
from mirrorsync.simple import layout
from mirrorsync.state.inventory import Need
from mirrorsync.sync.context import SyncContext

_FILE_LIMIT: Final = 4 * 2**30
"""Bytes at most of a file whose size the index does not state (PyPI's own limit is 1 GiB)."""
_SIDECAR_LIMIT: Final = 4 * 2**20
"""Bytes at most of a `.metadata` sidecar, which is held in memory; real ones stay below 1 MiB. A longer one is not
advertised."""
_SMALL: Final = 256 * 2**10
"""Bytes up to which a file is held in memory until it is stored (half of PyPI's files have less than 20 KiB)."""
_BATCH: Final = 64
"""Small objects that are stored together."""
_BATCH_SIZE: Final = 2**20
"""Bytes at which a batch is stored without waiting for more: with 40 projects in flight, 40 MiB in all."""
_PORTION: Final = 16
"""Small objects that are requested together on one connection."""
_PORTION_SIZE: Final = 2**20
"""Bytes of them, at most."""
_AT_ONCE: Final = 10
"""Downloads of one project at once; the client limits the connections."""


class _Job(msgspec.Struct, frozen=True):
    """One object to download."""

    path: StorePath
    remote: Remote
    expect: Expect
    whole: bool
    """It is held in memory until it is stored."""
    may_be_here: bool


class _Downloader:
    """Downloads the objects of one project; `results` has the size or the failure of each, in order."""

    def __init__(self, context: SyncContext, jobs: Sequence[_Job], *, in_flight: int) -> None:
        self._context = context
        self._jobs = jobs
        self._portions = portions(jobs, in_flight=in_flight)
        self._next = iter(self._portions)
        self._buffered: list[tuple[int, Small]] = []
        self._buffered_size = 0
        self.results: list[int | MirrorsyncError] = [0] * len(jobs)

    async def run(self) -> None:
        """Download all of them. Cancellation: nothing partial is left."""
        workers = min(_AT_ONCE, len(self._portions))
        if workers <= 1:
            await self._take_portions()
        else:
            async with trio.open_nursery() as nursery:
                for _ in range(workers):
                    nursery.start_soon(self._take_portions)
        await self._flush()

    async def _take_portions(self) -> None:
        for portion in self._next:
            lacking = [index for index in portion if not await self._is_here(index)]
            if not lacking:
                continue
            if self._jobs[lacking[0]].whole:
                await self._fetch(lacking)
            else:
                await self._stream(*lacking)

    async def _is_here(self, index: int) -> bool:
        """Whether an earlier process left the object, verified; a failure to read it is its result."""
        job = self._jobs[index]
        if not job.may_be_here:
            return False
        try:
            size = await _verified_size(self._context, job.path, job.expect)
        except MirrorsyncError as error:
            self.results[index] = error
            return True
        if size is not None:
            self.results[index] = size
        return size is not None

    async def _fetch(self, indices: Sequence[int]) -> None:
        jobs = [self._jobs[index] for index in indices]
        try:
            # Before they are requested: files without room to store them would be downloaded again at each attempt.
            await self._context.store.expect_room(self._buffered_size + sum(job.remote.size or 0 for job in jobs))
        except MirrorsyncError as error:
            for index in indices:
                self.results[index] = error
            return
        bodies = await self._context.upstream.fetch_all([job.remote for job in jobs])
        for index, job, body in zip(indices, jobs, bodies, strict=True):
            if isinstance(body, MirrorsyncError):
                self.results[index] = body
            else:
                self._context.observer.fetched(len(body))
                await self._buffer(index, Small(path=job.path, expect=job.expect, body=body))

    async def _stream(self, index: int) -> None:
        try:
            self.results[index] = await _stream(self._context, self._jobs[index])
        except MirrorsyncError as error:
            self.results[index] = error

    async def _buffer(self, index: int, small: Small) -> None:
        self._buffered.append((index, small))
        self._buffered_size += len(small.body)
        if len(self._buffered) >= _BATCH or self._buffered_size >= _BATCH_SIZE:
            await self._flush()

    async def _flush(self) -> None:
        batch, self._buffered, self._buffered_size = self._buffered, [], 0
        if not batch:
            return
        results: Sequence[int | MirrorsyncError]
        try:
            results = await self._context.store.store_all([small for _, small in batch])
        except MirrorsyncError as error:
            results = [error] * len(batch)
        beat()
        for (index, _), result in zip(batch, results, strict=True):
            self.results[index] = result


async def download(
    context: SyncContext, needs: tuple[Need, ...], *, in_flight: int
) -> list[StoredFile | MirrorsyncError]:
    """Download and store what is lacking; return the result of each need, in order.

    `in_flight`: projects that are being synced, this one included. Files are independent: one that fails does not stop
    the others, and stored files are found again later. Cancellation: nothing partial is left.
    """
    wanted = [(_file_job(need) if need.lacks_file else None, _sidecar_job(need)) for need in needs]
    downloader = _Downloader(context, [job for pair in wanted for job in pair if job is not None], in_flight=in_flight)
    await downloader.run()
    results = iter(downloader.results)
    ended = [[None if job is None else next(results) for job in pair] for pair in wanted]
    return [_stored(need, *pair) for need, pair in zip(needs, ended, strict=True)]


def portions(jobs: Sequence[_Job], *, in_flight: int) -> list[list[int]]:
    """Divide jobs, as indices, into portions for one worker: small ones together, a large one alone.

    The fewer projects are in flight, the smaller the portions, so that a single project still uses all connections.
    """
    small = sum(job.whole for job in jobs)
    at_once = max(1, _AT_ONCE // max(1, in_flight))
    most = min(_PORTION, -(-small // at_once))
    divided: list[list[int]] = []
    size = 0
    for index, job in enumerate(jobs):
        fits = job.whole and size + (job.remote.size or 0) <= _PORTION_SIZE
        if fits and divided and len(divided[-1]) < most and jobs[divided[-1][-1]].whole:
            divided[-1].append(index)
        else:
            divided.append([index])
            size = 0
        size += job.remote.size or 0
    return divided


def _stored(
    need: Need, file_result: int | MirrorsyncError | None, sidecar_result: int | MirrorsyncError | None
) -> StoredFile | MirrorsyncError:
    if isinstance(file_result, MirrorsyncError):
        return file_result
    # A sidecar is optional: if upstream lost it, the page does not advertise it.
    lost = isinstance(sidecar_result, Missing | WrongSize)
    if isinstance(sidecar_result, MirrorsyncError) and not lost:
        return sidecar_result
    file = need.file
    return StoredFile(
        place=file.place,
        filename=file.filename,
        size=file_result if file_result is not None else file.size or 0,
        file_is_new=need.lacks_file,
        metadata_sha256=None if lost else file.core_metadata,
    )


def _file_job(need: Need) -> _Job:
    file = need.file
    limit = _FILE_LIMIT if file.size is None else file.size
    return _Job(
        path=layout.file_path(file.place, file.filename),
        # A file of unknown size may be large: it is streamed.
        remote=Remote(url=file.url, size=file.size, limit=limit),
        expect=Expect(size=file.size, sha256=file.hashes.sha256, limit=limit),
        whole=file.size is not None and file.size <= _SMALL,
        may_be_here=need.may_be_here,
    )


def _sidecar_job(need: Need) -> _Job | None:
    file = need.file
    if not need.lacks_sidecar or file.core_metadata is None:
        return None
    return _Job(
        path=layout.sidecar_path(file.place, file.filename),
        remote=Remote(url=f"{file.url}.metadata", size=None, limit=_SIDECAR_LIMIT),
        expect=Expect(size=None, sha256=file.core_metadata, limit=_SIDECAR_LIMIT),
        whole=True,
        may_be_here=need.may_be_here,
    )


async def replaces_sidecar(context: SyncContext, needs: tuple[Need, ...]) -> bool:
    """Return whether the store has a sidecar that differs from the one to download: a page may advertise it (I1)."""
    for need in needs:
        if need.replaces_sidecar:
            path = layout.sidecar_path(need.file.place, need.file.filename)
            right = Expect(size=None, sha256=need.file.core_metadata)
            if await context.store.stat(path) is not None and await _verified_size(context, path, right) is None:
                return True
    return False


async def _stream(context: SyncContext, job: _Job) -> int:
    await context.store.expect_room(job.expect.size or 0)
    async with context.upstream.open(job.remote) as body, context.store.stage(job.path, job.expect) as staged:
        async for chunk in body:
            await staged.write(chunk)
            context.observer.fetched(len(chunk))
        return await staged.commit()


async def _verified_size(context: SyncContext, path: StorePath, expect: Expect) -> int | None:
    """Return the size of the object at `path`, None unless it is as expected."""
    info = await context.store.stat(path)
    if info is None or (expect.size is not None and info.size != expect.size):
        return None
    digest = hashlib.sha256()
    async for chunk in context.store.read(path):
        await trio.to_thread.run_sync(digest.update, chunk)
        beat()
    return info.size if digest.digest() == expect.sha256 else None
