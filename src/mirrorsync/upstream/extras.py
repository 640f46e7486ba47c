"""What an index may offer beside its pages: the legacy JSON document, and the trace of another mirrorsync."""

import math
from http import HTTPStatus
from typing import Final

import msgspec
import trio

from mirrorsync.errors import Malformed, MirrorsyncError
from mirrorsync.model.identity import ProjectName, project_name
from mirrorsync.upstream.http.client import MIB, Client
from mirrorsync.upstream.http.errors import wrong_type
from mirrorsync.upstream.http.message import Request, Response
from mirrorsync.upstream.http.url import Url

JSON_TYPE: Final = "application/json"
ABSENT: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
_LEGACY_LIMIT: Final = 128 * MIB
"""Bytes; nightly projects with thousands of releases have about 40 MB."""
_TRACE_LIMIT: Final = 64 * 1024
"""Bytes."""
_TRACE_SECONDS: Final = 10.0
"""Time limit for the whole request, because nothing depends on the trace."""
_TRACE_PAUSE: Final = 600.0
"""Seconds between two requests for a trace."""
_NO_TRACE_PAUSE: Final = 86400.0
"""Seconds after a response that there is no trace."""
_ETAG_MAX: Final = 256
"""Characters; a longer validator is not worth keeping for every project."""


def usable_etag(etag: str | None) -> str | None:
    """Return `etag` if it is short and can be sent in a request, else None."""
    return etag if etag and len(etag) <= _ETAG_MAX and etag.isascii() and etag.isprintable() else None


class _Info(msgspec.Struct):
    name: str


class _Document(msgspec.Struct):
    info: _Info


def check_legacy(what: str, body: bytes, project: ProjectName) -> bytes:
    """Return `body` if it is the legacy document of `project`. Raises: Malformed."""
    try:
        named = project_name(msgspec.json.decode(body, type=_Document).info.name)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Malformed(what, why=f"not a legacy JSON document ({str(error)[:200]})") from error
    if named != project:
        raise Malformed(what, why=f"it is the document of {named}")
    return body


async def release_data(client: Client, request: Request, project: ProjectName) -> bytes | None:
    """Return the legacy JSON document, unchanged; None if there is none. Source: `/pypi/<name>/json`.

    Raises: Malformed (another type, too large, not JSON, another project's), Unreachable, Throttled.
    """

    async def read(response: Response) -> bytes | None:
        if response.status in ABSENT:
            return None
        if response.media_type != JSON_TYPE:
            raise wrong_type(response.what, found=response.media_type, wanted=JSON_TYPE)
        return await response.read(_LEGACY_LIMIT)

    body = await client.fetch(request, read)
    return None if body is None else await trio.to_thread.run_sync(check_legacy, request.what, body, project)


class TraceReader:
    """Reads `mirrorsync/trace.json` of an upstream that is itself a mirror: seldom, once, conditionally."""

    def __init__(self, client: Client, url: Url) -> None:
        self._client = client
        self._url = url
        self._body = b""
        self._etag: str | None = None
        self._not_before = -math.inf

    async def read(self) -> bytes:
        """Return the trace, at most 10 minutes old; empty if there is none or it cannot be fetched. Cancel-safe."""
        if trio.current_time() >= self._not_before:
            self._not_before = trio.current_time() + _TRACE_PAUSE
            try:
                with trio.move_on_after(_TRACE_SECONDS):
                    await self._request()
            except MirrorsyncError:
                self._body, self._etag = b"", None
        return self._body

    async def _request(self) -> None:
        headers = [("Accept", JSON_TYPE), ("Accept-Encoding", "gzip")]
        if self._etag is not None:
            headers.append(("If-None-Match", self._etag))
        wanted = ABSENT | {HTTPStatus.OK, HTTPStatus.NOT_MODIFIED}
        async with self._client.open(Request(url=self._url, headers=tuple(headers), wanted=wanted)) as response:
            if response.status in ABSENT:
                self._not_before = trio.current_time() + _NO_TRACE_PAUSE
                self._body, self._etag = b"", None
            elif response.status == HTTPStatus.OK:
                self._body = await response.read(_TRACE_LIMIT)
                self._etag = usable_etag(response.header("etag"))
