"""A file's body that survives broken connections: undecoded, bounded, resumed by Range."""

import re
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from http import HTTPStatus
from typing import Final, Self

from mirrorsync.errors import Malformed, MirrorsyncError, Truncated, WrongSize
from mirrorsync.model.objects import Chunk, Remote
from mirrorsync.upstream.http.allowed_urls import authority
from mirrorsync.upstream.http.client import Client, Question
from mirrorsync.upstream.http.errors import CutShort
from mirrorsync.upstream.http.inflate import Inflater
from mirrorsync.upstream.http.pipeline import Fields
from mirrorsync.upstream.http.response import Ask, Reply
from mirrorsync.upstream.http.retry import is_worth_retrying, retry

MAX_RESTARTS: Final = 16
"""Broken connections that one body may have, whatever progress it makes between them."""
_STATUSES: Final = frozenset({HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE})
_CONTENT_RANGE: Final = re.compile(r"bytes (?:(\d{1,18})-\d{1,18}|\*)/(\d{1,18}|\*)", re.ASCII)
"""Source: RFC 9110 14.4."""


_CODING: Final = 4096
"""Bytes by which gzip may lengthen a small body that is packed already."""
_WHOLE: Final = (("Accept-Encoding", "identity"), ("Accept", "*/*"))


@asynccontextmanager
async def open_body(client: Client, remote: Remote) -> AsyncIterator[AsyncIterator[Chunk]]:
    """Open `remote`: its bytes as they travel, which the caller verifies by their digest.

    After a broken connection it goes on where it stood; an index that ignores Range is read again from the start and
    what is known is skipped. A coding that nobody asked for is undone, once.
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


async def fetch_all(client: Client, remotes: Sequence[Remote]) -> list[bytes | MirrorsyncError]:
    """Return the whole of each small remote, or its failure, in their order; all of it held in memory.

    Those of one origin are asked for together; one that breaks is asked for again from its start, alone.
    Failures: Missing, Refused, Unreachable, Throttled, Truncated, WrongSize. Cancellation: the connection is closed.
    """
    results: list[bytes | MirrorsyncError] = [b""] * len(remotes)
    origins: defaultdict[tuple[str, str], list[tuple[int, Question[bytes]]]] = defaultdict(list)
    for index, remote in enumerate(remotes):
        try:
            url = client.gate.file(remote.url)
        except MirrorsyncError as error:
            results[index] = error
        else:
            ask = Ask(url=url, headers=_WHOLE, kind="file")
            question = Question(ask, partial(_read_whole, remote), partial(_whole_at_once, remote))
            origins[url.scheme, authority(url)].append((index, question))
    for asked in origins.values():
        bodies = await client.ask_all([question for _, question in asked])
        for (index, _), body in zip(asked, bodies, strict=True):
            results[index] = body
    return results


def _whole_at_once(remote: Remote, fields: Fields, body: bytes) -> bytes | None:
    """Return `body` if there is nothing to be said about it."""
    fits = len(body) <= remote.limit if remote.size is None else len(body) == remote.size <= remote.limit
    return body if fits and body and b"content-encoding" not in fields else None


async def _read_whole(remote: Remote, reply: Reply) -> bytes:
    size, limit = remote.size, remote.limit if remote.size is None else min(remote.limit, remote.size)
    name = str(reply.ask.url)[:300]
    coded, length = reply.coding == "gzip", reply.length
    if length is not None and not coded:
        _check_total(name, length, size=size, limit=limit, media_type=reply.media_type)
    pieces: list[bytes] = []
    received = 0
    try:
        while chunk := await reply.chunk():
            received += len(chunk)
            if received > limit + (_CODING if coded else 0):
                raise WrongSize(name, why=f"more than the promised {limit:,} bytes come; we stopped")
            pieces.append(chunk)
    except CutShort as cut:
        raise Truncated(name, why=f"{cut.why} after {received:,} bytes") from cut
    body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    if coded and received != size:
        body = _decoded(name, body, limit)  # an intermediary's doing: nobody asked for a coding
    if size is not None and len(body) < size:
        raise Truncated(name, why=f"the body ended after {len(body):,} of {size:,} bytes")
    return body


def _decoded(name: str, body: bytes, limit: int) -> bytes:
    """Return `body` without its gzip; as it is where it has none, and the digest will tell."""
    inflater = Inflater(name, coding="gzip", limit=limit)
    try:
        decoded = b"".join(inflater.feed(body))
        inflater.end()
    except Malformed:
        return body
    return decoded


def _check_total(name: str, total: int, *, size: int | None, limit: int, media_type: str) -> None:
    if total > limit or (size is not None and total != size):
        hint = "a captive portal or an error page" if "html" in media_type else ""
        expected = f"{limit:,} bytes at most" if size is None else f"{size:,} bytes"
        raise WrongSize(name, why=f"its host tells {total:,} bytes, promised are {expected}", hint=hint)


class _ResumingBody:
    def __init__(self, client: Client, remote: Remote) -> None:
        self._client = client
        self._url = client.gate.file(remote.url)
        self._size = remote.size
        self._limit = remote.limit if remote.size is None else min(remote.limit, remote.size)
        self._offset = 0
        self._skip = 0
        """Bytes of the present answer that were handed on before."""
        self._restarts = 0
        self._ranges_work = True
        self._complete = False
        self._first: Chunk | None = None
        self._reply: Reply | None = None
        self._inflater: Inflater | None = None
        """Undoes the coding of the present answer, where an intermediary gave it one."""
        self._inflated: Iterator[bytes] = iter(())
        self._connection = AsyncExitStack()

    async def begin(self) -> None:
        """Fetch the first bytes, so that a file that cannot be had is told before anything is made of it."""
        self._first = await retry(self._client.patience, self._step)

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
        """Give the connection back; harmless when there is none."""
        self._reply = None
        await self._connection.aclose()

    async def _next(self) -> Chunk:
        try:
            return await self._step()
        except Exception as error:
            if not is_worth_retrying(error) or self._restarts >= MAX_RESTARTS:
                raise
        return await retry(self._client.patience, self._step)

    async def _step(self) -> Chunk:
        """Return the next bytes, empty when the body is complete; on any failure there is no connection left."""
        try:
            reply = self._reply or await self._connect()
            while not self._complete:
                chunk = await self._read(reply)
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

    async def _connect(self) -> Reply:
        if self._offset:
            self._restarts += 1
        headers = list(_WHOLE)
        if self._offset and self._ranges_work:
            headers.append(("Range", f"bytes={self._offset}-"))
        ask = Ask(url=self._url, headers=tuple(headers), kind="file", statuses=_STATUSES)
        reply = await self._connection.enter_async_context(self._client.exchange(ask))
        if reply.status == HTTPStatus.OK:
            self._skip, self._inflated = self._offset, iter(())
            self._inflater = Inflater(self._name, coding="gzip", limit=self._limit) if self._is_coded(reply) else None
            if self._inflater is not None:
                self._ranges_work = False  # they would count the bytes of the coding
            elif reply.length is not None:
                self._check_total(reply.length, reply)
        else:
            self._accept_range(reply)
        self._reply = reply
        return reply

    def _is_coded(self, reply: Reply) -> bool:
        """Tell whether the answer's coding is to be undone: some call an archive coded that just ends in .gz."""
        if reply.coding != "gzip" or reply.length == self._size is not None:
            return False
        return reply.length is not None or not self._name.endswith(("gz", ".Z"))

    async def _read(self, reply: Reply) -> Chunk:
        """Return the next bytes of the answer, decoded where they are coded; empty at its end."""
        if self._inflater is None:
            return await reply.block()
        while not (piece := next(self._inflated, b"")):
            chunk = await reply.chunk()
            if not chunk:
                self._inflater.end()
                break
            self._inflated = self._inflater.feed(chunk)
        return piece

    def _accept_range(self, reply: Reply) -> None:
        told = _CONTENT_RANGE.fullmatch((reply.header("content-range") or "").strip())
        start, total = told.groups() if told else (None, None)
        if total is not None and total != "*":
            self._check_total(int(total), reply)
        if reply.status == HTTPStatus.PARTIAL_CONTENT and self._offset and start == str(self._offset):
            self._skip = 0
            return
        if self._offset and self._size is None and total == str(self._offset):
            self._complete = True  # 416: it broke off after the last byte
            return
        self._ranges_work = False
        raise Truncated(
            self._name,
            why=f"HTTP {reply.status} does not go on at byte {self._offset:,}; we ask for the whole instead",
        )

    def _fresh(self, chunk: Chunk) -> Chunk:
        fresh = chunk[self._skip :] if self._skip else chunk
        self._skip -= len(chunk) - len(fresh)
        self._offset += len(fresh)
        if self._offset > self._limit:
            raise WrongSize(self._name, why=f"more than the promised {self._limit:,} bytes come; we stopped")
        return fresh

    def _check_end(self) -> None:
        if self._skip or (self._size is not None and self._offset < self._size):
            raise Truncated(self._name, why=f"the body ended {self._progress}")
        self._complete = True

    def _check_total(self, total: int, reply: Reply) -> None:
        _check_total(self._name, total, size=self._size, limit=self._limit, media_type=reply.media_type)

    @property
    def _name(self) -> str:
        return str(self._url)[:300]

    @property
    def _progress(self) -> str:
        of = "" if self._size is None else f" of {self._size:,}"
        return f"after {self._offset:,}{of} bytes, restart {self._restarts} of {MAX_RESTARTS}"
