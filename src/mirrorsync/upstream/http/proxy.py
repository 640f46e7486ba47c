"""Requests through a proxy: httpx knows proxies and the environment variables that name them."""

import http.cookiejar
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

import httpx

from mirrorsync.errors import BadConfig
from mirrorsync.model.objects import Chunk
from mirrorsync.runtime.heartbeat import beat
from mirrorsync.upstream.http import errors
from mirrorsync.upstream.http.message import Request, Response
from mirrorsync.upstream.http.pool import IDLE_LIMIT

_ERRORS: Final[dict[type[Exception], type[errors.TransportError]]] = {
    httpx.ConnectTimeout: errors.ConnectTimeout,
    httpx.PoolTimeout: errors.ConnectTimeout,
    httpx.ReadTimeout: errors.ReadTimeout,
    httpx.WriteTimeout: errors.WriteTimeout,
    httpx.ProxyError: errors.ProxyError,
    httpx.ConnectError: errors.ConnectError,
    httpx.RemoteProtocolError: errors.RemoteProtocolError,
}


@contextmanager
def _own_errors(silence: float) -> Iterator[None]:
    """Raise httpx's errors as those of the transport; a timeout names the limit `silence`."""
    try:
        yield
    except (httpx.HTTPError, httpx.StreamError) as error:
        why = f"no byte for {silence:g} s" if isinstance(error, httpx.TimeoutException) else str(error)
        own = _ERRORS.get(type(error), errors.TransportError)
        raise own(why or type(error).__name__) from error


def proxy_client(tls: ssl.SSLContext, proxy: str | None, *, user_agent: str) -> httpx.AsyncClient:
    """Return a client that uses `proxy`, or the proxies of the environment; it keeps no cookies.

    Raises: BadConfig for an unusable proxy.
    """
    try:
        return httpx.AsyncClient(
            headers={"User-Agent": user_agent, "Accept-Encoding": "identity"},
            verify=tls,
            proxy=proxy,
            follow_redirects=False,
            cookies=http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(allowed_domains=[])),
            # The mirror's own limiter bounds the connections: it is shared, and waiting for it is no timeout.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=20, keepalive_expiry=IDLE_LIMIT),
        )
    except (ValueError, ImportError, httpx.InvalidURL) as error:
        raise BadConfig("the proxy cannot be used", why=str(error), hint="proxy = http://HOST:PORT") from error


class ProxyRequests:
    """Requests that are sent through a proxy, one at a time."""

    def __init__(self, client: httpx.AsyncClient, requests: Sequence[Request], *, silence: float) -> None:
        self._client = client
        self._requests = iter(requests)
        self._silence = silence

    async def next(self) -> Response | None:
        """Send the next request and return its response; None after the last. Raises: TransportError."""
        request = next(self._requests, None)
        if request is None:
            return None
        silence = self._silence if request.silence is None else request.silence
        sent = self._client.build_request(
            request.method,
            str(request.url),
            headers=list(request.headers),
            content=request.content or None,
            timeout=httpx.Timeout(silence, connect=min(silence, 30.0), pool=None),
        )
        try:
            with _own_errors(silence):
                received = await self._client.send(sent, stream=True)
        except (httpx.InvalidURL, ValueError) as error:  # httpx parses the target of a redirect that it does not follow
            raise errors.RemoteProtocolError(f"it redirects to an invalid URL: {error}") from error
        return _response(request, received, silence)

    def abandon(self) -> None:
        """Do nothing: each response closes its own connection."""


def _response(request: Request, received: httpx.Response, silence: float) -> Response:
    response = Response()
    response.request, response.silence = request, silence
    response.status, response.reason = received.status_code, received.reason_phrase.encode()
    response.headers = {
        name.lower().encode("latin-1"): value.encode("latin-1") for name, value in received.headers.items()
    }
    response.body = _ProxyBody(received, silence)
    response.has_head = True
    return response


class _ProxyBody:
    def __init__(self, received: httpx.Response, silence: float) -> None:
        self._received = received
        self._raw = received.aiter_raw()
        self._silence = silence

    async def receive(self) -> Chunk:
        with _own_errors(self._silence):
            chunk = await anext(self._raw, b"")
        beat()
        return chunk

    async def close(self) -> None:
        await self._received.aclose()
        # httpx nests generators that trio would report as unfinished; on a closed connection they end at once.
        with suppress(httpx.HTTPError, httpx.StreamError):
            while await anext(self._raw, b""):
                pass
