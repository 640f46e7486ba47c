"""`ports.Upstream` directly on a world, without a network: quick, and with configurable faults."""

import dataclasses
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Literal

import trio

from mirrorsync.errors import (
    MirrorsyncError,
    Missing,
    NoChangelog,
    NoListing,
    ProjectGone,
    StalePage,
    Truncated,
    Unreachable,
)
from mirrorsync.model.change import ChangeBatch, Listed, SnapshotPart
from mirrorsync.model.identity import ProjectName, Serial, project_name
from mirrorsync.model.objects import Remote
from mirrorsync.model.page import DistFile, Hashes, PageRequest, PageResult, ProjectPage, Unchanged
from mirrorsync.upstream.pypi import to_batch
from tests.contract.memory_store import Steps
from tests.support.pypi.values import Page, WorldFile
from tests.support.pypi.world import World

HOST = "http://files.test/"
_ROWS = 7
"""Rows in one batch: few, so that a run has several."""
_GROUP = 3
"""Pages in one group of results."""
_CHUNKS = 2
"""Chunks of a body."""

PageFault = Literal["stale", "absent", "unreachable"]
FileFault = Literal["missing", "truncated", "wrong bytes", "no sidecar", "unreachable"]
ListFault = Literal["stale", "absent"]


@dataclasses.dataclass
class Lies:
    """The present faults of upstream."""

    pages: dict[str, PageFault] = dataclasses.field(default_factory=dict)
    """By project."""
    files: dict[str, FileFault] = dataclasses.field(default_factory=dict)
    """By file name."""
    listing: ListFault | None = None
    hidden: frozenset[str] = frozenset()
    """Projects that the root list leaves out, although it looks complete."""
    no_journal: bool = False

    def stop(self) -> None:
        self.pages.clear()
        self.files.clear()
        self.listing, self.hidden, self.no_journal = None, frozenset(), False


class WorldUpstream:
    """An index of `world`."""

    identity = "test index"

    def __init__(self, world: World, lies: Lies | None = None) -> None:
        self.world = world
        self.lies = lies or Lies()
        self.old_lists: list[tuple[Serial, tuple[Listed, ...]]] = []
        """Root lists that a cache may still hold."""
        self.asked: Counter[str] = Counter()
        """Requests for pages, by project."""

    async def last_serial(self) -> Serial | None:
        await trio.lowlevel.checkpoint()
        if self.lies.no_journal:
            raise NoChangelog("the journal", why="it is broken for now")
        serial = self.world.last_serial
        return None if serial is None else Serial(serial)

    async def changes(self, since: Serial) -> AsyncGenerator[ChangeBatch, None]:
        while True:
            await trio.lowlevel.checkpoint()
            found = self.world.rows_since(since, _ROWS)
            rows = [[row.name, row.version, row.timestamp, row.action, row.serial] for row in found]
            batch = to_batch(rows, since=since, what="the journal")
            if batch is None:
                return
            yield batch
            since = batch.upto

    def list_now(self) -> tuple[Serial, tuple[Listed, ...]]:
        rows = tuple(
            Listed(name=project_name(row.name), display_name=row.display_name, serial=Serial(row.serial))
            for row in self.world.listing()
        )
        return Serial(self.world.last_serial or 0), rows

    async def snapshot(self) -> AsyncGenerator[SnapshotPart, None]:
        await trio.lowlevel.checkpoint()
        fault = self.lies.listing
        if fault == "absent":
            raise NoListing("the root list", why="404 for now")
        serial, rows = self.old_lists[-1] if fault == "stale" and self.old_lists else self.list_now()
        rows = tuple(row for row in rows if row.name not in self.lies.hidden)
        for start in range(0, max(1, len(rows)), 3):
            yield SnapshotPart(serial=serial, projects=rows[start : start + 3])
            await trio.lowlevel.checkpoint()

    @asynccontextmanager
    async def pages(self, requests: Sequence[PageRequest]) -> AsyncIterator[AsyncIterator[Sequence[PageResult]]]:
        async with aclosing(self._groups(requests)) as groups:
            yield groups

    async def _groups(self, requests: Sequence[PageRequest]) -> AsyncGenerator[Sequence[PageResult], None]:
        for start in range(0, len(requests), _GROUP):
            await trio.lowlevel.checkpoint()
            yield [self._result(request) for request in requests[start : start + _GROUP]]

    def _result(self, request: PageRequest) -> PageResult:
        try:
            return PageResult(request=request, outcome=self._page(request))
        except MirrorsyncError as error:
            return PageResult(request=request, outcome=error)

    def _page(self, request: PageRequest) -> ProjectPage | Unchanged:
        project = request.name
        self.asked[project] += 1
        fault = self.lies.pages.get(project)
        if fault == "unreachable":
            raise Unreachable(f"{project}: no answer")
        page = self.world.page_before(project, None) if fault == "stale" else self.world.page(project)
        if page is None or fault == "absent":
            raise ProjectGone(f"{project} has no page")
        if page.serial < request.at_least:
            raise StalePage(f"{project}: serial {page.serial}, {request.at_least} is wanted")
        if request.etag == f'"{page.revision}"':
            return Unchanged(name=project)
        return as_told(page)

    async def release_data(self, project: ProjectName) -> bytes | None:
        await trio.lowlevel.checkpoint()
        page = self.world.page(project)
        return None if page is None or not page.releases else f'{{"last_serial":{page.serial}}}'.encode()

    async def is_absent(self, project: ProjectName) -> bool:
        await trio.lowlevel.checkpoint()
        return self.world.page(project) is None

    async def trace(self) -> bytes:
        await trio.lowlevel.checkpoint()
        return b""

    async def fetch_all(self, remotes: Sequence[Remote]) -> list[bytes | MirrorsyncError]:
        return [await self._fetch(remote) for remote in remotes]

    async def _fetch(self, remote: Remote) -> bytes | MirrorsyncError:
        try:
            async with self.open(remote) as body:
                return b"".join([chunk async for chunk in body])
        except MirrorsyncError as error:
            return error

    @asynccontextmanager
    async def open(self, remote: Remote) -> AsyncIterator[AsyncIterator[bytes]]:
        await trio.lowlevel.checkpoint()
        path = remote.url.removeprefix(HOST)
        name = path.rsplit("/", 1)[1]
        fault = self.lies.files.get(name.removesuffix(".metadata"))
        if fault == "missing" or (fault == "no sidecar" and name.endswith(".metadata")):
            raise Missing(f"{name}: 403")
        if fault == "unreachable":
            raise Unreachable(f"{name}: no answer")
        body = self.world.objects[path]
        if fault == "wrong bytes":
            body = body[:-1] + bytes([body[-1] ^ 1])
        yield Steps(_pieces(body, name, cut=fault == "truncated"))


def _pieces(body: bytes, name: str, *, cut: bool) -> Iterator[bytes]:
    half = len(body) // _CHUNKS
    yield body[:half]
    if cut:
        raise Truncated(f"{name}: {half} of {len(body)} bytes")
    yield body[half:]


def as_told(page: Page) -> ProjectPage:
    """Return the page as an upstream adapter decodes it."""
    return ProjectPage(
        name=project_name(page.name),
        serial=Serial(page.serial),
        status=page.status,
        versions=page.versions,
        files=tuple(_file(file) for file in page.files),
        etag=f'"{page.revision}"',
    )


def _file(file: WorldFile) -> DistFile:
    sidecar = file.metadata_sha256
    return DistFile(
        filename=file.filename,
        place=bytes.fromhex(file.place),
        url=HOST + file.path,
        size=file.size,
        hashes=Hashes(sha256=bytes.fromhex(file.sha256)),
        requires_python=file.requires_python,
        core_metadata=None if sidecar is None else bytes.fromhex(sidecar),
        yanked=file.yanked,
        upload_time=file.upload_time,
    )
