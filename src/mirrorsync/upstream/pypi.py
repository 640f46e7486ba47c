"""PyPI: the Simple API, and beside it the journal by XML-RPC."""

import math
from collections.abc import AsyncGenerator
from http import HTTPStatus
from typing import Any, Final

import httpx
import trio

from mirrorsync.errors import Malformed, NoChangelog
from mirrorsync.model.change import ChangeBatch
from mirrorsync.model.identity import Serial
from mirrorsync.upstream import xmlrpc
from mirrorsync.upstream.http import errors as answers
from mirrorsync.upstream.http.client import Client
from mirrorsync.upstream.http.errors import ServerFault
from mirrorsync.upstream.http.response import XML_LIMIT, Ask, Reply
from mirrorsync.upstream.http.retry import retry
from mirrorsync.upstream.index import SimpleIndex
from mirrorsync.upstream.journal import to_batch, to_serial

XML_SILENCE: Final = 90.0
"""Seconds: PyPI's edge waits 60 s for an answer that the origin is still computing."""
PAUSE: Final = 2.0
"""Seconds between calls to PyPI, whose limit admits fewer than it states."""
_MISSING: Final = frozenset(
    {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.GONE, HTTPStatus.NOT_IMPLEMENTED}
)
_SMALL: Final = 64 * 1024
"""Bytes up to which an answer is parsed at once: a thread costs as much."""
_FALL_BACK: Final = "the root list is used in its place"


class PyPIUpstream(SimpleIndex):
    """`ports.Upstream` with a journal at `<index>/pypi`."""

    def __init__(
        self, client: Client, *, base_url: str, identity: str, pause: float = 0.0, silence: float = XML_SILENCE
    ) -> None:
        """Keep `pause` seconds between calls, and give up one after `silence` seconds without a byte."""
        super().__init__(client, base_url=base_url, identity=identity)
        self._pause = pause
        self._silence = silence
        self._turn = trio.Lock()
        self._not_before = -math.inf

    async def last_serial(self) -> Serial | None:
        """Return the newest serial, None when the journal is empty.

        Raises: NoChangelog (missing, or broken after retries), Unreachable, Throttled.
        """
        value, what = await self._call("changelog_last_serial")
        return None if value is None else self._serial(value, what)

    async def changes(self, since: Serial) -> AsyncGenerator[ChangeBatch, None]:
        """Yield the rows above `since`, at most 50,000 a batch, until an answer is empty.

        No connection is held between batches.
        Raises: NoChangelog (missing, or broken after retries), Unreachable, Throttled.
        """
        while True:
            rows, what = await self._call("changelog_since_serial", since)
            batch = self._batch(rows, since, what)
            if batch is None:
                return
            yield batch
            since = batch.upto

    def _batch(self, rows: Any, since: Serial, what: str) -> ChangeBatch | None:
        try:
            return to_batch(rows, since=since, what=what)
        except Malformed as broken:
            raise _no_changelog(broken) from broken

    def _serial(self, value: Any, what: str) -> Serial:
        try:
            return to_serial(value, what=what)
        except Malformed as broken:
            raise _no_changelog(broken) from broken

    async def _call(self, method: str, *arguments: int) -> tuple[Any, str]:
        """Return what `method` returns, and the call as an operator reads it."""
        ask = Ask(
            url=httpx.URL(f"{self._base_url}/pypi"),
            method="POST",
            headers=(("Content-Type", xmlrpc.MEDIA_TYPE), ("Accept", xmlrpc.MEDIA_TYPE), ("Accept-Encoding", "gzip")),
            content=xmlrpc.dumps(method, *arguments),
            statuses=_MISSING | {HTTPStatus.OK},
            silence=self._silence,
        )
        what = f"{method}({', '.join(map(str, arguments))}) at {ask.url}"

        async def attempt() -> Any:
            await self._take_turn()
            async with self._client.exchange(ask) as reply:
                return await _read_value(reply, what)

        try:
            return await retry(self._client.patience, attempt), what
        except (Malformed, ServerFault) as broken:
            raise _no_changelog(broken) from broken

    async def _take_turn(self) -> None:
        async with self._turn:
            await trio.sleep_until(self._not_before)
            self._not_before = trio.current_time() + self._pause


async def _read_value(reply: Reply, what: str) -> Any:
    if reply.status in _MISSING:
        raise NoChangelog(what, why=f"HTTP {reply.status}: this index has no XML-RPC", hint=_FALL_BACK)
    if reply.media_type not in (xmlrpc.MEDIA_TYPE, "application/xml"):
        raise answers.wrong_type(what, found=reply.media_type, wanted=xmlrpc.MEDIA_TYPE)
    body = await reply.body(XML_LIMIT)
    if len(body) <= _SMALL:
        return xmlrpc.loads(body, what=what)
    return await trio.to_thread.run_sync(lambda: xmlrpc.loads(body, what=what))


def _no_changelog(broken: Malformed | ServerFault) -> NoChangelog:
    return NoChangelog(broken.what, why=broken.why, hint=broken.hint or _FALL_BACK)
