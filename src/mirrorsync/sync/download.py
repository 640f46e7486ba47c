"""Bringing files, and their sidecars, into the store: small ones many at a time, large ones as they stream."""

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
"""Bytes at most of a file whose size the index does not tell (PyPI's own cap is 1 GiB)."""
_SIDECAR_LIMIT: Final = 4 * 2**20
"""Bytes at most of a `.metadata` sidecar, which is held whole in memory; real ones stay below 1 MiB. A longer one is
not advertised."""
_SMALL: Final = 256 * 2**10
"""Bytes up to which a file is held whole in memory on its way (half of PyPI's files have less than 20 KiB)."""
_BATCH: Final = 64
"""Small objects that are written together."""
_BATCH_SIZE: Final = 2**20
"""Bytes after which small objects are written without waiting for more: with 40 projects under way, 40 MiB in all."""
_PORTION: Final = 16
"""Small objects that are asked for together on one connection."""
_PORTION_SIZE: Final = 2**20
"""Bytes of them."""
_AT_ONCE: Final = 10
"""Objects of one project under way at once; the connections are limited by the client."""


class _Job(msgspec.Struct, frozen=True):
    """One object to bring in."""

    path: StorePath
    remote: Remote
    expect: Expect
    whole: bool
    """It is held whole in memory on its way."""
    may_be_here: bool


class _FileFetcher:
    """The objects of one project on their way in; `results` holds each one's bytes or failure, in their order."""

    def __init__(self, context: SyncContext, jobs: Sequence[_Job]) -> None:
        self._context = context
        self._jobs = jobs
        self._portions = portions(jobs, others_under_way=len(context.in_flight) - 1)
        self._next = iter(self._portions)
        self._waiting: list[tuple[int, Small]] = []
        self._waiting_size = 0
        self.results: list[int | MirrorsyncError] = [0] * len(jobs)

    async def run(self) -> None:
        """Bring all of them in. Cancellation: nothing partial is left."""
        workers = min(_AT_ONCE, len(self._portions))
        if workers <= 1:
            await self._work()
        else:
            async with trio.open_nursery() as nursery:
                for _ in range(workers):
                    nursery.start_soon(self._work)
        await self._put()

    async def _work(self) -> None:
        for portion in self._next:
            lacking = [index for index in portion if not await self._is_here(index)]
            if not lacking:
                continue
            if self._jobs[lacking[0]].whole:
                await self._fetch(lacking)
            else:
                await self._stream(*lacking)

    async def _is_here(self, index: int) -> bool:
        """Take what an earlier life left, if it is right."""
        job = self._jobs[index]
        if not job.may_be_here:
            return False
        try:
            size = await _size_if_right(self._context, job.path, job.expect)
        except MirrorsyncError as error:
            self.results[index] = error
            return True
        if size is not None:
            self.results[index] = size
        return size is not None

    async def _fetch(self, indices: Sequence[int]) -> None:
        jobs = [self._jobs[index] for index in indices]
        try:
            # Before they are asked for: what finds no room afterwards would be fetched again at each attempt.
            await self._context.store.expect_room(self._waiting_size + sum(job.remote.size or 0 for job in jobs))
        except MirrorsyncError as error:
            for index in indices:
                self.results[index] = error
            return
        bodies = await self._context.upstream.fetch_all([job.remote for job in jobs])
        for index, job, body in zip(indices, jobs, bodies, strict=True):
            if isinstance(body, MirrorsyncError):
                self.results[index] = body
            else:
                self._context.audience.fetched(len(body))
                await self._hold(index, Small(path=job.path, expect=job.expect, body=body))

    async def _stream(self, index: int) -> None:
        try:
            self.results[index] = await _stream(self._context, self._jobs[index])
        except MirrorsyncError as error:
            self.results[index] = error

    async def _hold(self, index: int, small: Small) -> None:
        self._waiting.append((index, small))
        self._waiting_size += len(small.body)
        if len(self._waiting) >= _BATCH or self._waiting_size >= _BATCH_SIZE:
            await self._put()

    async def _put(self) -> None:
        batch, self._waiting, self._waiting_size = self._waiting, [], 0
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


async def fetch_all(context: SyncContext, needs: tuple[Need, ...]) -> list[StoredFile | MirrorsyncError]:
    """Bring in what is lacking; each result stands at its need's index.

    Files are independent: one that fails does not stop the others, and what came in is found again later.
    Cancellation: nothing partial is left.
    """
    wanted = [(_file_job(need) if need.lacks_file else None, _sidecar_job(need)) for need in needs]
    bringing = _FileFetcher(context, [job for pair in wanted for job in pair if job is not None])
    await bringing.run()
    results = iter(bringing.results)
    ended = [[None if job is None else next(results) for job in pair] for pair in wanted]
    return [_judge(need, *pair) for need, pair in zip(needs, ended, strict=True)]


def portions(jobs: Sequence[_Job], *, others_under_way: int) -> list[list[int]]:
    """Divide jobs, by their indices, into what one worker takes at a time: small ones together, a large one alone.

    The fewer projects are under way beside this one, the smaller the portions: what keeps ten connections busy when
    there is much to do would keep one busy and nine idle when there is little.
    """
    small = sum(job.whole for job in jobs)
    at_once = max(1, _AT_ONCE // (others_under_way + 1))
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


def _judge(
    need: Need, file_result: int | MirrorsyncError | None, sidecar_result: int | MirrorsyncError | None
) -> StoredFile | MirrorsyncError:
    if isinstance(file_result, MirrorsyncError):
        return file_result
    # A sidecar is a convenience: one that upstream lost holds nothing up, the page just does not advertise it.
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
        # An index that tells no sizes may have anything behind a URL: it is streamed.
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
    """Tell whether a sidecar that a page may promise now would be replaced by another one (I1).

    What an earlier life left, just as it is promised, replaces nothing.
    """
    for need in needs:
        if need.replaces_sidecar:
            path = layout.sidecar_path(need.file.place, need.file.filename)
            right = Expect(size=None, sha256=need.file.core_metadata)
            if await context.store.stat(path) is not None and await _size_if_right(context, path, right) is None:
                return True
    return False


async def _stream(context: SyncContext, job: _Job) -> int:
    await context.store.expect_room(job.expect.size or 0)
    async with context.upstream.open(job.remote) as body, context.store.stage(job.path, job.expect) as staged:
        async for chunk in body:
            await staged.write(chunk)
            context.audience.fetched(len(chunk))
        return await staged.commit()


async def _size_if_right(context: SyncContext, path: StorePath, expect: Expect) -> int | None:
    """Return the size of what stands at `path`, None unless it is just what is expected."""
    info = await context.store.stat(path)
    if info is None or (expect.size is not None and info.size != expect.size):
        return None
    digest = hashlib.sha256()
    async for chunk in context.store.read(path):
        await trio.to_thread.run_sync(digest.update, chunk)
        beat()
    return info.size if digest.digest() == expect.sha256 else None
