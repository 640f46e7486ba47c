"""The two ways to send a request: our own transport, and httpx's for whatever goes through a proxy."""

import http.cookiejar
import urllib.request
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Protocol

import httpx

from mirrorsync.model.objects import Chunk
from mirrorsync.upstream.http.connection import Trust
from mirrorsync.upstream.http.http1 import Response
from mirrorsync.upstream.http.pipeline import Answer, Body, Call
from mirrorsync.upstream.http.transport import Transport
from mirrorsync.upstream.http.url import full


class Asked(Protocol):
    """Several requests under way; see `volley.Pipeline`. Raises: httpx.HTTPError."""

    async def advance(self) -> bool:
        """Go on to the next answer, leaving the one before; False when these requests get no more."""

    def whole(self) -> Response | None:
        """Return the answer if all of it is here."""

    def answer(self) -> Answer:
        """Return the answer, to be read from the wire."""

    def ended(self) -> None:
        """Give back what the last answer, taken whole, does not need any more."""

    def close(self) -> None:
        """Release what is held."""


class Sender(Protocol):
    """Sends requests and hands back their answers, the bodies unread. Raises: httpx.HTTPError."""

    async def exchange(self, call: Call) -> Answer:
        """Send `call`. Cancellation: the connection of the exchange is closed."""

    def volley(self, calls: Sequence[Call]) -> Asked:
        """Prepare `calls`, GETs of one origin, to be sent together as far as that is possible."""


class Proxied:
    """Sends through httpx, which knows proxies and the environment's words for them."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def exchange(self, call: Call) -> Answer:
        """Send `call` to the proxy, or past it where the environment says so."""
        limits = call.limits
        timeout = httpx.Timeout(connect=limits.connect, read=limits.read, write=limits.write, pool=None)
        request = self._client.build_request(
            call.method, full(call.url), headers=list(call.headers), content=call.content or None, timeout=timeout
        )
        try:
            response = await self._client.send(request, stream=True)
        except (httpx.InvalidURL, ValueError) as error:  # httpx reads a redirect's target, though it follows none
            raise httpx.RemoteProtocolError(f"it redirects to what is no URL, {error}") from error
        return Answer(
            status=response.status_code,
            reason=response.reason_phrase.encode(),
            fields=_fields(response),
            body=_HttpxBody(response),
        )

    def volley(self, calls: Sequence[Call]) -> "_OneByOne":
        """Prepare `calls`; a proxy is asked one thing at a time."""
        return _OneByOne(self, calls)


class _OneByOne:
    def __init__(self, sender: Proxied, calls: Sequence[Call]) -> None:
        self._sender = sender
        self._calls = iter(calls)
        self._answer: Answer

    async def advance(self) -> bool:
        call = next(self._calls, None)
        if call is not None:
            self._answer = await self._sender.exchange(call)
        return call is not None

    def whole(self) -> Response | None:
        return None

    def answer(self) -> Answer:
        return self._answer

    def ended(self) -> None:
        """Hold nothing, as `close`."""

    def close(self) -> None:
        """Hold nothing: each answer's body is closed by whoever has it."""


class _HttpxBody(Body):
    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self._raw = response.aiter_raw()

    async def more(self) -> bytes:
        return await anext(self._raw, b"")

    async def block(self) -> Chunk:
        return await anext(self._raw, b"")

    async def aclose(self) -> None:
        await self._response.aclose()
        # httpx nests generators that trio would find unfinished; on a closed connection they end at once.
        with suppress(httpx.HTTPError, httpx.StreamError):
            while await anext(self._raw, b""):
                pass


def _fields(response: httpx.Response) -> dict[bytes, bytes]:
    return {name.lower().encode("latin-1"): value.encode("latin-1") for name, value in response.headers.items()}


@asynccontextmanager
async def open_sender(trust: Trust, *, proxy: str | None, keep_alive: float) -> AsyncIterator[Sender]:
    """Open a sender whose connections are closed when the context ends; `keep_alive` in seconds.

    Raises: ValueError, ImportError, httpx.InvalidURL for a proxy that cannot be used.
    """
    if proxy is None and not urllib.request.getproxies():
        async with Transport(trust) as transport:
            yield transport
        return
    async with httpx.AsyncClient(
        headers={"Accept-Encoding": "identity"},
        verify=trust(),
        transport=Transport(trust),
        proxy=proxy,
        follow_redirects=False,
        cookies=http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(allowed_domains=[])),
        # The client's limiter is the limit: it is shared, it can be seen, and waiting in it costs no timeout.
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=20, keepalive_expiry=keep_alive),
    ) as client:
        yield Proxied(client)
