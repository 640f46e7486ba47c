"""The fast path: HTTP/1.1 over trio, for httpx and without it. Proxies and anything exotic take httpx's own.

httpx's stock transport costs 0.7 to 1.9 ms a request on trio, growing with its connections; this one keeps a stack
of idle connections per origin and lets llhttp parse (bench/README.md has the figures).
"""

import math
import ssl
from collections.abc import Sequence
from functools import cache
from types import TracebackType
from typing import Self

import httpx

from mirrorsync.upstream.http.connection import Trust
from mirrorsync.upstream.http.pipeline import Answer, Call, Limits, Pipeline
from mirrorsync.upstream.http.pool import ConnectionPool


class Transport(httpx.AsyncBaseTransport):
    """HTTP/1.1 with connections that are kept alive, and given up the moment they are in doubt.

    Raises httpx's exceptions. Timeouts are those of the request (connect, read, write), each for one step: a body may
    take for ever as long as it comes. Cancellation: the connection of the exchange is closed.
    """

    def __init__(self, trust: Trust) -> None:
        """Ask `trust` once, when TLS is first spoken; what it returns must verify what it meets."""

        @cache
        def limited() -> ssl.SSLContext:
            context = trust()
            context.set_alpn_protocols(["http/1.1"])
            return context

        self._connections = ConnectionPool(limited)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every idle connection."""
        self._connections.close()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send `request` for httpx; its body is read from the wire as it is iterated over."""
        timeout = request.extensions.get("timeout", {})
        limits = Limits(**{name: timeout.get(name) or math.inf for name in ("connect", "read", "write")})
        call = Call(
            method=request.method,
            url=request.url,
            headers=tuple(request.headers.raw),
            content=await _content(request),
            limits=limits,
        )
        answer = await _first(Pipeline(self._connections, (call,), keeps_headers=True))
        return httpx.Response(
            answer.status,
            headers=list(answer.headers),
            stream=answer.body,
            extensions={"http_version": b"HTTP/1.1", "reason_phrase": answer.reason},
        )

    async def exchange(self, call: Call) -> Answer:
        """Send `call`; the answer's body is read from the wire as it is iterated over."""
        return await _first(Pipeline(self._connections, (call,)))

    def volley(self, calls: Sequence[Call]) -> Pipeline:
        """Prepare `calls`, GETs of one origin, to be sent together. Nothing is sent yet."""
        return Pipeline(self._connections, calls)


async def _first(volley: Pipeline) -> Answer:
    await volley.advance()
    return volley.answer()


async def _content(request: httpx.Request) -> bytes:
    if not isinstance(request.stream, httpx.AsyncByteStream):
        raise httpx.LocalProtocolError("only bodies that are there whole are sent")
    return b"".join([part async for part in request.stream])
