"""Bodies of files: undecoded, bounded in size, resumed by Range after a broken connection."""

import re
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from http import HTTPStatus
from typing import Final, Self

from mirrorsync.errors import Malformed, MirrorsyncError, Truncated, WrongSize
from mirrorsync.model.objects import Chunk, Remote
from mirrorsync.upstream.http import batch
from mirrorsync.upstream.http.client import Client
from mirrorsync.upstream.http.errors import CutShort
from mirrorsync.upstream.http.inflate import Inflater
from mirrorsync.upstream.http.message import Request, Response
from mirrorsync.upstream.http.retry import is_retryable
from mirrorsync.upstream.http.url import authority

MAX_RESTARTS: Final = 16
"""Broken connections that one body may have, however much arrives between them."""
_STATUSES: Final = frozenset({HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE})
_CONTENT_RANGE: Final = re.compile(r"bytes (?:(\d{1,18})-\d{1,18}|\*)/(\d{1,18}|\*)", re.ASCII)
"""Source: RFC 9110 14.4."""
_GZIP_OVERHEAD: Final = 4096
"""Bytes by which gzip may lengthen a small body that is compressed already."""
_HEADERS: Final = (("Accept-Encoding", "identity"), ("Accept", "*/*"))
_NAME: Final = 300
"""Characters of a URL that a message shows."""


async def fetch_all(client: Client, remotes: Sequence[Remote]) -> list[bytes | MirrorsyncError]:
    """Return the whole body of each small remote, or its failure, in the order of `remotes`; all are held in memory.

    Remotes of one origin are requested together; one that breaks is requested again from its start, alone.
    Failures: Missing, Refused, Unreachable, Throttled, Truncated, WrongSize. Cancellation: the connection is closed.
    """
    results: list[bytes | MirrorsyncError] = [b""] * len(remotes)
    origins: defaultdict[tuple[str, str], list[tuple[int, Request]]] = defaultdict(list)
    for index, remote in enumerate(remotes):
        try:
            url = client.allowed.file(remote.url)
        except MirrorsyncError as error:
            results[index] = error
        else:
            request = Request(url=url, headers=_HEADERS, kind="file")
            origins[url.scheme, authority(url)].append((index, request))

    async def read(index: int, response: Response) -> bytes:
        return await _read_whole(remotes[index], response)

    for requests in origins.values():
        for index, outcome in await batch.fetch_all(client, requests, read, _with_index):
            results[index] = outcome
    return results


def _with_index(index: int, outcome: bytes | MirrorsyncError) -> tuple[int, bytes | MirrorsyncError]:
    return index, outcome


async def _read_whole(remote: Remote, response: Response) -> bytes:
    size, limit = remote.size, remote.limit if remote.size is None else min(remote.limit, remote.size)
    name = remote.url[:_NAME]
    is_coded, length = response.coding == "gzip", response.length
    if length is not None and not is_coded:
        _check_total(name, length, remote, response)
    pieces: list[Chunk] = []
    received = 0
    try:
        while chunk := await response.chunk():
            received += len(chunk)
            if received > limit + (_GZIP_OVERHEAD if is_coded else 0):
                raise WrongSize(name, why=f"more than the announced {limit:,} bytes arrive; the download was stopped")
            pieces.append(chunk)
    except CutShort as cut:
        raise Truncated(name, why=f"{cut.why} after {received:,} bytes") from cut
    body = b"".join(pieces)
    if is_coded and received != size:
        body = _decoded(name, body, limit)  # by an intermediary: the request accepts no coding
    if size is not None and len(body) < size:
        raise Truncated(name, why=f"the body ended after {len(body):,} of {size:,} bytes")
    return body


def _decoded(name: str, body: bytes, limit: int) -> bytes:
    """Return `body` without its gzip; unchanged if it has none, so that its digest decides."""
    inflater = Inflater(name, coding="gzip", limit=limit)
    try:
        decoded = b"".join(inflater.feed(body))
        inflater.end()
    except Malformed:
        return body
    return decoded


def _check_total(name: str, total: int, remote: Remote, response: Response) -> None:
    if total > remote.limit or (remote.size is not None and total != remote.size):
        hint = "a captive portal or an error page" if "html" in response.media_type else ""
        expected = f"{remote.limit:,} bytes at most" if remote.size is None else f"{remote.size:,} bytes"
        raise WrongSize(name, why=f"its host announces {total:,} bytes, not {expected}", hint=hint)


@asynccontextmanager
async def open_body(client: Client, remote: Remote) -> AsyncIterator[AsyncIterator[Chunk]]:
    """Open `remote`: its undecoded bytes, which the caller verifies by their digest.

    After a broken connection it continues where it stopped. From a host that ignores Range it is read again from the
    start, and the known bytes are skipped. A content coding that was not requested is undone, once.
    Raises: Missing, Refused, Unreachable, Throttled on entering; later Truncated, WrongSize, Unreachable, Throttled.
    Cancellation: the connection is closed.
    Source: RFC 9110 14 (Range), 15.3.7 (206), 15.5.17 (416).
    """
    body = _ResumingBody(client, remote)
    try:
        await body.begin()
        yield body
    finally:
        await body.disconnect()


class _ResumingBody:
    def __init__(self, client: Client, remote: Remote) -> None:
        self._client = client
        self._remote = remote
        self._url = client.allowed.file(remote.url)
        self._name = remote.url[:_NAME]
        self._size = remote.size
        self._limit = remote.limit if remote.size is None else min(remote.limit, remote.size)
        self._offset = 0
        self._skip = 0
        """Bytes of the current response that the consumer has already."""
        self._restarts = 0
        self._ranges_work = True
        self._is_complete = False
        self._first: Chunk | None = None
        self._response: Response | None = None
        self._inflater: Inflater | None = None
        """Undoes the coding of the current response, if an intermediary added one."""
        self._inflated: Iterator[Chunk] = iter(())
        self._connection = AsyncExitStack()

    async def begin(self) -> None:
        """Fetch the first bytes, so that a missing file is known before anything is staged."""
        self._first = await self._client.retry(self._step)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Chunk:
        chunk, self._first = self._first, None
        if chunk is None:
            chunk = await self._next()
        if not chunk:
            raise StopAsyncIteration
        return chunk

    async def disconnect(self) -> None:
        """Release the connection, if there is one."""
        self._response = None
        await self._connection.aclose()

    async def _next(self) -> Chunk:
        try:
            return await self._step()
        except MirrorsyncError as error:
            if not is_retryable(error) or self._restarts >= MAX_RESTARTS:
                raise
        return await self._client.retry(self._step)

    async def _step(self) -> Chunk:
        """Return the next bytes, empty when the body is complete; after any failure no connection is left."""
        try:
            response = self._response or await self._connect()
            while not self._is_complete:
                chunk = await self._read(response)
                if not chunk:
                    self._check_end()
                elif fresh := self._fresh(chunk):
                    return fresh
        except CutShort as cut:
            await self.disconnect()
            raise Truncated(self._name, why=f"{cut.why} {self._progress}") from cut
        except BaseException:
            await self.disconnect()
            raise
        await self.disconnect()
        return b""

    async def _connect(self) -> Response:
        if self._offset:
            self._restarts += 1
        headers = list(_HEADERS)
        if self._offset and self._ranges_work:
            headers.append(("Range", f"bytes={self._offset}-"))
        request = Request(url=self._url, headers=tuple(headers), kind="file", wanted=_STATUSES)
        response = await self._connection.enter_async_context(self._client.open(request))
        if response.status == HTTPStatus.OK:
            self._skip, self._inflated = self._offset, iter(())
            is_coded = self._has_added_coding(response)
            self._inflater = Inflater(self._name, coding="gzip", limit=self._limit) if is_coded else None
            if is_coded:
                self._ranges_work = False  # a Range would count the coded bytes
            elif response.length is not None:
                _check_total(self._name, response.length, self._remote, response)
        else:
            self._accept_range(response)
        self._response = response
        return response

    def _has_added_coding(self, response: Response) -> bool:
        """Return True if the coding is to be undone: some hosts label an archive as coded that merely ends in .gz."""
        if response.coding != "gzip" or response.length == self._size is not None:
            return False
        return response.length is not None or not self._name.endswith(("gz", ".Z"))

    async def _read(self, response: Response) -> Chunk:
        """Return the next bytes of the response, without an added coding; empty at its end."""
        if self._inflater is None:
            return await response.chunk()
        while not (piece := next(self._inflated, b"")):
            chunk = await response.chunk()
            if not chunk:
                self._inflater.end()
                break
            self._inflated = self._inflater.feed(chunk)
        return piece

    def _accept_range(self, response: Response) -> None:
        announced = _CONTENT_RANGE.fullmatch((response.header("content-range") or "").strip())
        start, total = announced.groups() if announced else (None, None)
        if total is not None and total != "*":
            _check_total(self._name, int(total), self._remote, response)
        if response.status == HTTPStatus.PARTIAL_CONTENT and self._offset and start == str(self._offset):
            self._skip = 0
            return
        if self._offset and self._size is None and total == str(self._offset):
            self._is_complete = True  # 416: the connection broke after the last byte
            return
        self._ranges_work = False
        raise Truncated(
            self._name,
            why=f"HTTP {response.status} does not continue at byte {self._offset:,}; the whole file is requested",
        )

    def _fresh(self, chunk: Chunk) -> Chunk:
        fresh = chunk[self._skip :] if self._skip else chunk
        self._skip -= len(chunk) - len(fresh)
        self._offset += len(fresh)
        if self._offset > self._limit:
            raise WrongSize(
                self._name, why=f"more than the announced {self._limit:,} bytes arrive; the download was stopped"
            )
        return fresh

    def _check_end(self) -> None:
        if self._skip or (self._size is not None and self._offset < self._size):
            raise Truncated(self._name, why=f"the body ended {self._progress}")
        self._is_complete = True

    @property
    def _progress(self) -> str:
        of = "" if self._size is None else f" of {self._size:,}"
        return f"after {self._offset:,}{of} bytes, restart {self._restarts} of {MAX_RESTARTS}"
