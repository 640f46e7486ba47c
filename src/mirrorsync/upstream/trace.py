"""The trace that an upstream leaves which is itself a mirror of this kind (`mirrorsync/trace.json`)."""

import math
from http import HTTPStatus
from typing import Final

import trio

from mirrorsync.errors import MirrorsyncError
from mirrorsync.upstream.http.client import Client
from mirrorsync.upstream.http.response import Ask
from mirrorsync.upstream.http.url import Url

_LIMIT: Final = 64 * 1024
"""Bytes."""
_PATIENCE: Final = 10.0
"""Seconds for all of it: nothing depends on the answer."""
_REST: Final = 600.0
"""Seconds between two questions to a mirror."""
_LONG_REST: Final = 86400.0
"""Seconds after an answer that it has no trace."""
_ABSENT: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
_ETAG_MAX: Final = 256


class TraceReader:
    """Asks for one trace: once, conditionally, and not often."""

    def __init__(self, client: Client, url: Url) -> None:
        self._client = client
        self._url = url
        self._body = b""
        self._etag: str | None = None
        self._not_before = -math.inf

    async def read(self) -> bytes:
        """Return the trace, as old as 10 minutes at most; empty where there is none or it did not come. Cancel-safe."""
        if trio.current_time() >= self._not_before:
            self._not_before = trio.current_time() + _REST
            try:
                with trio.move_on_after(_PATIENCE):
                    await self._ask()
            except MirrorsyncError:
                self._body, self._etag = b"", None
        return self._body

    async def _ask(self) -> None:
        headers = [("Accept", "application/json"), ("Accept-Encoding", "gzip")]
        if self._etag is not None:
            headers.append(("If-None-Match", self._etag))
        statuses = _ABSENT | {HTTPStatus.OK, HTTPStatus.NOT_MODIFIED}
        async with self._client.exchange(Ask(url=self._url, headers=tuple(headers), statuses=statuses)) as reply:
            if reply.status in _ABSENT:
                self._not_before = trio.current_time() + _LONG_REST
                self._body, self._etag = b"", None
            elif reply.status == HTTPStatus.OK:
                self._body = await reply.body(_LIMIT)
                etag = reply.header("etag")
                sendable = etag is not None and len(etag) <= _ETAG_MAX and etag.isascii() and etag.isprintable()
                self._etag = etag if sendable else None
