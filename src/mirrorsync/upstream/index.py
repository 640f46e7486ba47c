"""Any index with PEP 691 pages: the root list, the pages, the files."""

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from http import HTTPStatus
from typing import Final, Literal

import msgspec
import trio

from mirrorsync.errors import Malformed, MirrorsyncError, NoChangelog, NoListing, ProjectGone, StalePage
from mirrorsync.model.change import ChangeBatch, Listed, SnapshotPart
from mirrorsync.model.identity import ProjectName, Serial
from mirrorsync.model.objects import Chunk, Remote
from mirrorsync.model.page import PageRequest, PageResult, ProjectPage, Unchanged
from mirrorsync.simple.decode import PageDecoder
from mirrorsync.upstream import legacy
from mirrorsync.upstream.file_body import fetch_all, open_body
from mirrorsync.upstream.http import errors as answers
from mirrorsync.upstream.http.arrivals import Arrivals
from mirrorsync.upstream.http.client import Client, Question
from mirrorsync.upstream.http.inflate import Inflater
from mirrorsync.upstream.http.pipeline import Fields
from mirrorsync.upstream.http.response import PAGE_LIMIT, ROOT_LIMIT, Ask, Reply
from mirrorsync.upstream.http.retry import is_worth_retrying
from mirrorsync.upstream.http.url import Url, parse
from mirrorsync.upstream.root_list import RootReader
from mirrorsync.upstream.trace import TraceReader

_log = logging.getLogger(__name__)

SIMPLE_JSON: Final = "application/vnd.pypi.simple.v1+json"
_JSON: Final = SIMPLE_JSON.encode()
_SERIAL_FIELD: Final = b"x-pypi-last-serial"
_PART: Final = 2_000
"""Projects in one part of the root list."""
_HOP: Final = 256 * 1024
"""Bytes parsed in one hop to a thread: a hop costs about 150 us, as parsing 10 KiB does."""
_SMALL_PAGE: Final = 64 * 1024
"""Bytes as they travel up to which a page is taken as soon as it is here."""
_LARGE_PAGE: Final = 256 * 1024
"""Bytes from which decoding a page would hold up everything else for milliseconds."""
_HOLD_UP: Final = 2.0
"""Seconds that a page may keep those behind it on its connection waiting, before they are asked for elsewhere."""
_SERIAL_DIGITS: Final = 18
_ETAG_MAX: Final = 256
"""Characters: a longer validator is not worth keeping for every project, nor one that no request may carry."""
_GONE: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
_NO_SUCH_RESOURCE: Final = _GONE | {HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED}
_OK: Final = frozenset({HTTPStatus.OK})


class _PageAnswer(msgspec.Struct, frozen=True):
    status: int
    serial: Serial | None
    etag: str | None
    url: str
    body: bytes


class SimpleIndex:
    """`ports.Upstream` over the Simple API alone. Source: PEP 503, 691."""

    def __init__(self, client: Client, *, base_url: str, identity: str, may_be_mirror: bool = True) -> None:
        """With `may_be_mirror` false it is never asked for a trace, which only another mirrorsync leaves."""
        self.identity = identity
        self._client = client
        self._base_url = base_url
        self._trace = TraceReader(client, parse(f"{base_url}/mirrorsync/trace.json")) if may_be_mirror else None
        self._decoder = PageDecoder()
        self._large = trio.CapacityLimiter(1)  # decoding a large page can take 200 MiB

    async def last_serial(self) -> Serial | None:
        """Raise NoChangelog: the Simple API has no journal."""
        raise self._no_changelog()

    async def changes(self, since: Serial) -> AsyncGenerator[ChangeBatch, None]:  # noqa: ARG002 - the port's
        """Raise NoChangelog: the Simple API has no journal."""
        raise self._no_changelog()
        yield  # makes this the generator that the port promises

    async def snapshot(self) -> AsyncGenerator[SnapshotPart, None]:
        """Yield the root list in parts of at most 2,000 projects.

        It is fetched whole (as it travels, some 10 MB of gzip) before the first part: so it can be asked for again
        when it is cut, and a slow consumer neither holds a connection nor is cut off. Close it when leaving early.
        Raises: NoListing (404, HTML), Malformed (cut, not JSON, not a list), Unreachable, Throttled.
        """
        url = self._url("simple")
        reply_coding, pieces = await self._client.ask(
            Ask(url=url, headers=_accept(SIMPLE_JSON, "gzip"), statuses=_OK | _GONE), _read_root
        )
        what = f"root list {url}"
        reader = RootReader(what)
        inflater = Inflater(what, coding=reply_coding, limit=ROOT_LIMIT)
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
            _log.warning("%s: %d entries are no project names and were left out", what, reader.skipped)
        for start in range(0, max(len(waiting), 1), _PART):
            yield SnapshotPart(serial=reader.serial, projects=tuple(waiting[start : start + _PART]))

    @asynccontextmanager
    async def pages(self, requests: Sequence[PageRequest]) -> AsyncIterator[AsyncIterator[Sequence[PageResult]]]:
        """Request pages together; see `ports.Upstream.pages`."""
        results = Arrivals[PageResult](len(requests))
        raised: Exception | None = None
        async with trio.open_nursery() as nursery:
            if requests:
                nursery.start_soon(self._send_together, requests, results, nursery)
            try:
                yield results
            except Exception as error:  # noqa: BLE001 -- raised below, outside the nursery, which would wrap it
                raised = error
            nursery.cancel_scope.cancel()
        if raised is not None:
            raise raised

    async def _send_together(
        self, requests: Sequence[PageRequest], results: Arrivals[PageResult], nursery: trio.Nursery
    ) -> None:
        def take(index: int, outcome: ProjectPage | Unchanged | MirrorsyncError | None) -> None:
            if outcome is None or (isinstance(outcome, MirrorsyncError) and is_worth_retrying(outcome)):
                nursery.start_soon(self._send_alone, requests[index], outcome, results)
            else:
                results.add(PageResult(request=requests[index], outcome=outcome))

        await self._client.ask_once([self._question(ask) for ask in requests], take, hold_up=_HOLD_UP)

    async def _send_alone(
        self, request: PageRequest, failed: MirrorsyncError | None, results: Arrivals[PageResult]
    ) -> None:
        question = self._question(request)
        try:
            page = await self._client.ask(question.ask, question.read, failed=failed)
        except MirrorsyncError as error:
            results.add(PageResult(request=request, outcome=error.as_value()))
        else:
            results.add(PageResult(request=request, outcome=page))

    def _question(self, ask: PageRequest) -> Question[ProjectPage | Unchanged]:
        # Caches hold gzip and identity apart: where one is behind, the other may be true.
        headers = _accept(SIMPLE_JSON, "identity" if ask.attempt % 2 else "gzip")
        statuses = _OK | _GONE
        if ask.etag is not None:
            headers, statuses = (*headers, ("If-None-Match", ask.etag)), statuses | {HTTPStatus.NOT_MODIFIED}
        url = self._url("simple", ask.name)

        async def read(reply: Reply) -> ProjectPage | Unchanged:
            answer = await _read_page(reply)
            if len(answer.body) <= _LARGE_PAGE:
                return self._judge(ask, answer)
            return await trio.to_thread.run_sync(self._judge, ask, answer, limiter=self._large)

        def at_once(fields: Fields, body: bytes) -> ProjectPage | Unchanged | None:
            answer = _page_at_once(str(url), fields, body)
            return None if answer is None else self._judge(ask, answer)

        return Question(Ask(url=url, headers=headers, statuses=statuses), read, at_once)

    def _judge(self, ask: PageRequest, answer: _PageAnswer) -> ProjectPage | Unchanged:
        project, at_least = ask.name, ask.at_least
        if answer.status in _GONE:
            raise ProjectGone(f"{project} has no page", why=f"HTTP {answer.status} from {answer.url}")
        if answer.status == HTTPStatus.NOT_MODIFIED:
            self._refuse_stale(project, answer.serial, at_least)
            return Unchanged(name=project)
        page = self._decoder.decode(answer.body, requested=project, page_url=answer.url, etag=answer.etag)
        if None not in (page.serial, answer.serial) and page.serial != answer.serial:
            raise StalePage(
                f"{project}: the page's header says serial {answer.serial} and its body {page.serial}",
                hint="a cache before the index mixes answers; the page is asked for again",
            )
        serial = answer.serial if page.serial is None else page.serial
        self._refuse_stale(project, serial, at_least)
        return page if page.serial == serial else msgspec.structs.replace(page, serial=serial)

    async def release_data(self, project: ProjectName) -> bytes | None:
        """Return `/pypi/<name>/json` as it is; see `ports.Upstream.release_data`."""
        url, headers = self._url("pypi", project, "json"), _accept("application/json", "gzip")
        ask = Ask(url=url, headers=headers, statuses=_OK | _GONE)
        answer = await self._client.ask(ask, legacy.read)
        return None if answer.status in _GONE else await trio.to_thread.run_sync(legacy.checked, answer, project)

    async def is_absent(self, project: ProjectName) -> bool:
        """Tell whether two other resources than the JSON page, `/pypi/<name>/json` and the HTML page, are 404 too.

        Raises: Unreachable, Throttled, Malformed.
        """
        legacy = await self._status("*/*", _NO_SUCH_RESOURCE, "pypi", project, "json")
        if legacy == HTTPStatus.OK:
            return False
        # 404 there also means: no releases, or quarantined. The page's HTML variant is cached apart from its JSON.
        return await self._status("text/html", _GONE, "simple", project) in _GONE

    async def trace(self) -> bytes:
        """Return the index's own trace, if it is a mirror of this kind; see `trace.TraceReader.read`."""
        return b"" if self._trace is None else await self._trace.read()

    def open(self, remote: Remote) -> AbstractAsyncContextManager[AsyncIterator[Chunk]]:
        """Open a body; see `body.open_body`."""
        return open_body(self._client, remote)

    async def fetch_all(self, remotes: Sequence[Remote]) -> list[bytes | MirrorsyncError]:
        """Return small bodies whole, or their failures; see `body.fetch_all`."""
        return await fetch_all(self._client, remotes)

    async def _status(self, accept: str, statuses: frozenset[int], *path: str) -> int:
        ask = Ask(url=self._url(*path), headers=_accept(accept, "gzip"), statuses=_OK | statuses)
        return await self._client.ask(ask, _read_status)

    def _url(self, *path: str) -> Url:
        slash = "/" if path[0] == "simple" else ""
        return parse(f"{self._base_url}/{'/'.join(path)}{slash}")

    def _no_changelog(self) -> NoChangelog:
        return NoChangelog(f"{self.identity} is read through its pages alone", why="the Simple API has no changelog")

    def _refuse_stale(self, project: ProjectName, serial: Serial | None, at_least: Serial) -> None:
        if serial is not None and serial < at_least:
            raise StalePage(
                f"{project}: the page has serial {serial}, and {at_least} is wanted",
                why="a cache before the index is behind",
                hint="it is asked for again; after a day what it has is taken",
            )


async def _read_page(reply: Reply) -> _PageAnswer:
    if reply.status == HTTPStatus.OK and reply.media_type != SIMPLE_JSON:
        raise answers.wrong_type(reply.what, found=reply.media_type, wanted=SIMPLE_JSON)
    body = await reply.body(PAGE_LIMIT)
    fields = reply.fields
    serial, etag = _serial(fields.get(_SERIAL_FIELD)), _etag(fields.get(b"etag"))
    return _PageAnswer(reply.status, serial, etag, str(reply.url), body)


def _page_at_once(url: str, fields: Fields, body: bytes) -> _PageAnswer | None:
    """Return a page as `_read_page` does, if it is a small one and nothing is odd about it."""
    coding = fields.get(b"content-encoding", b"")
    if len(body) > _SMALL_PAGE or fields.get(b"content-type") != _JSON or coding not in (b"", b"gzip"):
        return None
    inflater = Inflater(url, coding=coding.decode("ascii"), limit=_LARGE_PAGE)
    try:
        decoded = b"".join(inflater.feed(body))
        inflater.end()
    except Malformed:
        return None
    return _PageAnswer(HTTPStatus.OK, _serial(fields.get(_SERIAL_FIELD)), _etag(fields.get(b"etag")), url, decoded)


async def _read_root(reply: Reply) -> tuple[str, tuple[bytes, ...]]:
    if reply.status in _GONE:
        raise NoListing(f"root list {reply.url}", why=f"HTTP {reply.status}")
    if reply.media_type in ("text/html", "application/vnd.pypi.simple.v1+html"):
        raise NoListing(
            f"root list {reply.url}",
            why=f"it comes as {reply.media_type} only, not as {SIMPLE_JSON}",
            hint="an index without PEP 691, or a captive portal: open the URL and look",
        )
    if reply.media_type != SIMPLE_JSON:
        raise answers.wrong_type(reply.what, found=reply.media_type, wanted=SIMPLE_JSON)
    return reply.coding, await reply.pieces(ROOT_LIMIT)


async def _read_status(reply: Reply) -> int:
    return reply.status


def _etag(told: bytes | None) -> str | None:
    etag = "" if told is None else told.decode("latin-1")
    return etag if etag and len(etag) <= _ETAG_MAX and etag.isascii() and etag.isprintable() else None


def _serial(told: bytes | None) -> Serial | None:
    text = b"" if told is None else told.strip()
    return Serial(int(text)) if text.isdigit() and len(text) <= _SERIAL_DIGITS else None


def _accept(media_type: str, coding: Literal["gzip", "identity"]) -> tuple[tuple[str, str], ...]:
    return ("Accept", media_type), ("Accept-Encoding", coding)


def _read_some(reader: RootReader, decoded: Iterator[bytes]) -> list[Listed] | None:
    """Return the projects in the next `_HOP` bytes, None when there are no more: bounded as decoded, not as sent."""
    listed: list[Listed] = []
    size = 0
    for data in decoded:
        listed.extend(reader.feed(data))
        size += len(data)
        if size >= _HOP:
            break
    return listed if size else None
