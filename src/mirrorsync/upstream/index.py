"""Any index with PEP 691 pages: the root list, the pages, the files."""

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus
from typing import Final, Literal

import msgspec
import trio

from mirrorsync.errors import MirrorsyncError, NoChangelog, NoListing, ProjectGone, StalePage
from mirrorsync.model.change import ChangeBatch, Listed, SnapshotPart
from mirrorsync.model.identity import ProjectName, Serial
from mirrorsync.model.objects import Chunk, Remote
from mirrorsync.model.page import PageRequest, PageResult, ProjectPage, Unchanged
from mirrorsync.simple.decode import PageDecoder
from mirrorsync.upstream.extras import ABSENT, JSON_TYPE, TraceReader, release_data, usable_etag
from mirrorsync.upstream.file_body import fetch_all, open_body
from mirrorsync.upstream.http.batch import fetch_together
from mirrorsync.upstream.http.client import MIB, Client
from mirrorsync.upstream.http.errors import wrong_type
from mirrorsync.upstream.http.inflate import Inflater
from mirrorsync.upstream.http.message import Request, Response
from mirrorsync.upstream.http.url import Url, parse
from mirrorsync.upstream.root_list import RootReader

_log = logging.getLogger(__name__)

SIMPLE_JSON: Final = "application/vnd.pypi.simple.v1+json"
_SIMPLE_HTML: Final = "application/vnd.pypi.simple.v1+html"
PAGE_LIMIT: Final = 64 * MIB
"""Bytes decoded. PyPI's largest page has about ten thousand files of 800 bytes each: under 10 MiB."""
ROOT_LIMIT: Final = 256 * MIB
"""Bytes decoded. PyPI's root list has about 40 MB."""
_PART: Final = 2_000
"""Projects in one part of the root list."""
_HOP: Final = 256 * 1024
"""Bytes parsed in one hop to a thread: a hop costs about 150 us, as much as parsing 10 KiB."""
_LARGE_PAGE: Final = 256 * 1024
"""Bytes; decoding a larger page would block the event loop for milliseconds."""
_HOLD_UP: Final = 2.0
"""Seconds that a page may delay those behind it on its connection, before they are requested elsewhere."""
_SERIAL_DIGITS: Final = 18
_NO_SUCH_RESOURCE: Final = ABSENT | {HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED}
_OK: Final = frozenset({HTTPStatus.OK})
_PAGE_STATUSES: Final = _OK | ABSENT
_PAGE_OR_UNCHANGED: Final = _PAGE_STATUSES | {HTTPStatus.NOT_MODIFIED}


class SimpleIndex:
    """`ports.Upstream` over the Simple API alone. Source: PEP 503, 691."""

    def __init__(self, client: Client, *, base_url: str, identity: str, may_be_mirror: bool = True) -> None:
        """With `may_be_mirror` false, no trace is requested, because only another mirrorsync has one."""
        self.identity = identity
        self._client = client
        self._base_url = base_url
        self._trace = TraceReader(client, parse(f"{base_url}/mirrorsync/trace.json")) if may_be_mirror else None
        self._decoder = PageDecoder()
        self._large = trio.CapacityLimiter(1)
        """Large pages are decoded one at a time, because each may need about 200 MiB."""

    async def last_serial(self) -> Serial | None:
        """Raise NoChangelog: the Simple API has no changelog."""
        raise self._no_changelog()

    async def changes(self, since: Serial) -> AsyncGenerator[ChangeBatch, None]:  # noqa: ARG002 - the port's
        """Raise NoChangelog: the Simple API has no changelog."""
        raise self._no_changelog()
        yield  # makes this a generator, as the port requires

    def _no_changelog(self) -> NoChangelog:
        return NoChangelog(f"{self.identity} is read through its pages alone", why="the Simple API has no changelog")

    async def snapshot(self) -> AsyncGenerator[SnapshotPart, None]:
        """Yield the root list in parts of at most 2,000 projects; close it when leaving early.

        It is fetched whole (about 10 MB of gzip) before the first part. So it can be retried when it is cut, and a slow
        consumer holds no connection.
        Raises: NoListing (404, HTML), Malformed (cut, not JSON, not a list), Unreachable, Throttled.
        """
        url = self._url("simple")
        request = Request(url=url, headers=_accept(SIMPLE_JSON, "gzip"), wanted=_PAGE_STATUSES)
        coding, pieces = await self._client.fetch(request, _read_root)
        what = f"root list {url}"
        reader = RootReader(what)
        inflater = Inflater(what, coding=coding, limit=ROOT_LIMIT)
        waiting: list[Listed] = []
        decoded = (data for piece in pieces for data in inflater.feed(piece))
        while (listed := await trio.to_thread.run_sync(_read_some, reader, decoded)) is not None:
            waiting.extend(listed)
            while len(waiting) > _PART:
                yield SnapshotPart(serial=reader.serial, projects=tuple(waiting[:_PART]))
                del waiting[:_PART]
        inflater.end()
        waiting.extend(reader.end())
        if reader.skipped:
            _log.warning("%s: %d entries are no project names and were skipped", what, reader.skipped)
        for start in range(0, max(len(waiting), 1), _PART):
            yield SnapshotPart(serial=reader.serial, projects=tuple(waiting[start : start + _PART]))

    def pages(
        self, requests: Sequence[PageRequest]
    ) -> AbstractAsyncContextManager[AsyncIterator[Sequence[PageResult]]]:
        """Request pages together; see `ports.Upstream.pages`."""
        together = [(request, self._page_request(request)) for request in requests]
        return fetch_together(self._client, together, self._read_page, PageResult, hold_up=_HOLD_UP)

    def _page_request(self, page: PageRequest) -> Request:
        # Caches store gzip and identity apart: if one is behind, the other may be current.
        headers, wanted = _accept(SIMPLE_JSON, "identity" if page.attempt % 2 else "gzip"), _PAGE_STATUSES
        if page.etag is not None:
            headers, wanted = (*headers, ("If-None-Match", page.etag)), _PAGE_OR_UNCHANGED
        return Request(url=self._url("simple", page.name), headers=headers, wanted=wanted)

    async def _read_page(self, request: PageRequest, response: Response) -> ProjectPage | Unchanged:
        if response.status in ABSENT:
            url = response.request.url
            raise ProjectGone(f"{request.name} has no page", why=f"HTTP {response.status} from {url}")
        serial = _serial(response)
        if response.status == HTTPStatus.NOT_MODIFIED:
            _refuse_stale(request, serial)
            return Unchanged(name=request.name)
        if response.media_type != SIMPLE_JSON:
            raise wrong_type(response.what, found=response.media_type, wanted=SIMPLE_JSON)
        body = await response.read(PAGE_LIMIT)
        if len(body) <= _LARGE_PAGE:
            return self._decode(request, response, serial, body)
        return await trio.to_thread.run_sync(self._decode, request, response, serial, body, limiter=self._large)

    def _decode(self, request: PageRequest, response: Response, in_header: Serial | None, body: bytes) -> ProjectPage:
        etag = usable_etag(response.header("etag"))
        page = self._decoder.decode(body, requested=request.name, page_url=str(response.request.url), etag=etag)
        if None not in (page.serial, in_header) and page.serial != in_header:
            raise StalePage(
                f"{request.name}: the page's header says serial {in_header} and its body {page.serial}",
                hint="a cache in front of the index mixes responses; the page is requested again",
            )
        serial = in_header if page.serial is None else page.serial
        _refuse_stale(request, serial)
        return page if page.serial == serial else msgspec.structs.replace(page, serial=serial)

    async def release_data(self, project: ProjectName) -> bytes | None:
        """Return `/pypi/<name>/json` unchanged; see `ports.Upstream.release_data`."""
        url, headers = self._url("pypi", project, "json"), _accept(JSON_TYPE, "gzip")
        return await release_data(self._client, Request(url=url, headers=headers, wanted=_PAGE_STATUSES), project)

    async def is_absent(self, project: ProjectName) -> bool:
        """Return True if two other resources than the JSON page, `/pypi/<name>/json` and the HTML page, are 404 too.

        Raises: Unreachable, Throttled, Malformed.
        """
        legacy = await self._status("*/*", _NO_SUCH_RESOURCE, "pypi", project, "json")
        if legacy == HTTPStatus.OK:
            return False
        # Its 404 may also mean no releases, or quarantined. Caches store the HTML page apart from the JSON page.
        return await self._status("text/html", ABSENT, "simple", project) in ABSENT

    async def trace(self) -> bytes:
        """Return the index's own trace, if it is a mirrorsync; see `extras.TraceReader.read`."""
        return b"" if self._trace is None else await self._trace.read()

    def open(self, remote: Remote) -> AbstractAsyncContextManager[AsyncIterator[Chunk]]:
        """Open a body; see `file_body.open_body`."""
        return open_body(self._client, remote)

    async def fetch_all(self, remotes: Sequence[Remote]) -> list[bytes | MirrorsyncError]:
        """Return small bodies whole, or their failures; see `file_body.fetch_all`."""
        return await fetch_all(self._client, remotes)

    async def _status(self, accept: str, wanted: frozenset[int], *path: str) -> int:
        request = Request(url=self._url(*path), headers=_accept(accept, "gzip"), wanted=_OK | wanted)

        async def read(response: Response) -> int:
            return response.status

        return await self._client.fetch(request, read)

    def _url(self, *path: str) -> Url:
        slash = "/" if path[0] == "simple" else ""
        return parse(f"{self._base_url}/{'/'.join(path)}{slash}")


def _refuse_stale(request: PageRequest, serial: Serial | None) -> None:
    if serial is not None and serial < request.at_least:
        raise StalePage(
            f"{request.name}: the page has serial {serial}, and {request.at_least} is wanted",
            why="a cache in front of the index is behind",
            hint="it is requested again; after 25 hours it is accepted, unless the project was removed since",
        )


async def _read_root(response: Response) -> tuple[str, list[bytes]]:
    what, media_type = f"root list {response.request.url}", response.media_type
    if response.status in ABSENT:
        raise NoListing(what, why=f"HTTP {response.status}")
    if media_type in ("text/html", _SIMPLE_HTML):
        raise NoListing(
            what,
            why=f"it is only available as {media_type}, not as {SIMPLE_JSON}",
            hint="an index without PEP 691, or a captive portal: open the URL and look",
        )
    if media_type != SIMPLE_JSON:
        raise wrong_type(response.what, found=media_type, wanted=SIMPLE_JSON)
    return response.coding, await response.read_coded(ROOT_LIMIT)


def _serial(response: Response) -> Serial | None:
    text = response.headers.get(b"x-pypi-last-serial", b"").strip()
    return Serial(int(text)) if text.isdigit() and len(text) <= _SERIAL_DIGITS else None


def _accept(media_type: str, coding: Literal["gzip", "identity"]) -> tuple[tuple[str, str], ...]:
    return ("Accept", media_type), ("Accept-Encoding", coding)


def _read_some(reader: RootReader, decoded: Iterator[bytes]) -> list[Listed] | None:
    """Return the projects in the next `_HOP` decoded bytes; None if there are no more."""
    listed: list[Listed] = []
    size = 0
    for data in decoded:
        listed.extend(reader.feed(data))
        size += len(data)
        if size >= _HOP:
            break
    return listed if size else None
