"""The HTTP clients that the suite compares: the mirror's own and httpx's, both behind httpx's interface."""

import gc
import os
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, cast

import httpx
import msgspec

from mirrorsync.errors import MirrorsyncError
from mirrorsync.upstream.http.errors import TransportError
from mirrorsync.upstream.http.message import Request, Response
from mirrorsync.upstream.http.pipeline import Pipeline
from mirrorsync.upstream.http.pool import ConnectionPool

REFUSAL: Final = httpx.RemoteProtocolError
"""The error for a peer that does not speak HTTP/1.1."""


class Kind(msgspec.Struct, frozen=True):
    """A client by its name."""

    name: str
    build: Callable[[ssl.SSLContext], httpx.AsyncBaseTransport]

    @property
    def is_ours(self) -> bool:
        return self.name == "ours"

    @asynccontextmanager
    async def client(
        self, context: ssl.SSLContext | None = None, *, connect: float = 3.0, read: float = 3.0, write: float = 3.0
    ) -> AsyncIterator[httpx.AsyncClient]:
        """Open an httpx client without features of its own, over a new transport."""
        transport = self.build(context or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
        timeout = httpx.Timeout(connect=connect, read=read, write=write, pool=None)
        async with httpx.AsyncClient(transport=transport, timeout=timeout, trust_env=False) as client:
            yield client


def _as_httpx(error: TransportError) -> Exception:
    return cast("Exception", getattr(httpx, type(error).__name__)(str(error)))


class OwnTransport(httpx.AsyncBaseTransport):
    """Sends as the mirror does: one `Request` in a `Pipeline`, whose `Response` is read chunk by chunk."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._pool = ConnectionPool(lambda: context, user_agent="test", silence=3.0)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.AsyncByteStream)
        skipped = {b"host", b"user-agent", b"content-length"}
        headers = [(name, value) for name, value in request.headers.raw if name.lower() not in skipped]
        sent = Request(
            url=request.url,
            method=cast("Any", request.method),
            headers=tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers),
            content=b"".join([part async for part in request.stream]),
            silence=min(request.extensions["timeout"][name] for name in ("connect", "read", "write")),
        )
        try:
            response = await Pipeline(self._pool, (sent,)).next()
        except TransportError as error:
            raise _as_httpx(error) from error
        assert response is not None
        return httpx.Response(
            response.status,
            headers=list(response.headers.items()),
            stream=_Body(response),
            extensions={"http_version": b"HTTP/1.1", "reason_phrase": response.reason},
        )

    async def aclose(self) -> None:
        self._pool.close()


class _Body(httpx.AsyncByteStream):
    def __init__(self, response: Response) -> None:
        self._response = response

    def __aiter__(self) -> "_Body":
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await self._response.chunk()
        except MirrorsyncError as error:
            # The suite tests what the connection raises.
            raise _as_httpx(cast("TransportError", error.__cause__)) from error.__cause__
        if not chunk:
            raise StopAsyncIteration
        return bytes(chunk)

    async def aclose(self) -> None:
        await self._response.body.close()


def _stock(context: ssl.SSLContext) -> httpx.AsyncBaseTransport:
    return httpx.AsyncHTTPTransport(verify=context, trust_env=False, limits=httpx.Limits(max_connections=None))


OURS: Final = Kind("ours", OwnTransport)
STOCK: Final = Kind("stock", _stock)
KINDS: Final = (OURS, STOCK)


def descriptors() -> int:
    """Return how many files and sockets this process has open."""
    gc.collect()  # leftovers of an earlier test must not be closed between two counts
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - Path.iterdir holds a descriptor open itself while it counts
