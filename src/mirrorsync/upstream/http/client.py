"""The HTTP client of one index and its file hosts: bounded connections, retries, checked redirects."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final, Protocol, TypeVar

import trio
from msgspec.structs import replace

from mirrorsync.errors import Malformed, MirrorsyncError, Refused
from mirrorsync.runtime.heartbeat import queued
from mirrorsync.upstream.http import errors
from mirrorsync.upstream.http.allowed_urls import AllowedUrls
from mirrorsync.upstream.http.message import Request, Response
from mirrorsync.upstream.http.retry import RetryPolicy, retry
from mirrorsync.upstream.http.url import authority

SILENCE: Final = 60.0
"""Seconds without a byte after which a connection counts as dead."""
MIB: Final = 1024 * 1024
_REDIRECTS: Final = 3

_T = TypeVar("_T")


class Responses(Protocol):
    """The responses to several requests, in order. Raises: TransportError."""

    async def next(self) -> Response | None:
        """Return the next response with its body unread; None if there is none on this connection."""

    def abandon(self) -> None:
        """Close the connection unless all responses were read."""


Send = Callable[[Sequence[Request]], Responses]
"""Prepare requests to one origin, of which all but a single one are GETs; nothing is sent before `next`."""


class RequestMetrics(Protocol):
    """Counts requests; every call returns at once. `host` is an allowed host, as `authority` returns it."""

    def answered(self, host: str, status: int, size: int, seconds: float) -> None:
        """Count a finished response, of whose body `size` bytes were read, `seconds` after the request."""

    def unanswered(self, host: str) -> None:
        """Count a request without a response."""

    def broke(self, host: str) -> None:
        """Count a response whose body ended early or in silence."""

    def retried(self, error: MirrorsyncError) -> None:
        """Count a request that is sent again after `error`."""


class NoMetrics:
    """Counts nothing."""

    def answered(self, host: str, status: int, size: int, seconds: float) -> None:
        """Do nothing."""

    def unanswered(self, host: str) -> None:
        """Do nothing."""

    def broke(self, host: str) -> None:
        """Do nothing."""

    def retried(self, error: MirrorsyncError) -> None:
        """Do nothing."""


NO_METRICS: Final = NoMetrics()


class Client:
    """Sends requests to one index and its file hosts. Made by `open_client`."""

    def __init__(
        self,
        send: Send,
        *,
        allowed: AllowedUrls,
        connections: trio.CapacityLimiter,
        retry_policy: RetryPolicy,
        metrics: RequestMetrics = NO_METRICS,
    ) -> None:
        self.send = send
        self.allowed = allowed
        self.metrics = metrics
        self._connections = connections
        self._retry_policy = retry_policy

    async def retry(self, attempt: Callable[[], Awaitable[_T]], *, failed: MirrorsyncError | None = None) -> _T:
        """Return the result of `attempt`, repeated within this client's budget; see `retry.retry`."""
        return await retry(self._retry_policy, attempt, failed=failed, on_retry=self.metrics.retried)

    async def fetch(
        self, request: Request, read: Callable[[Response], Awaitable[_T]], *, failed: MirrorsyncError | None = None
    ) -> _T:
        """Send `request` and return what `read` makes of the response; both are retried together.

        `failed` is the error of a first attempt that the caller has just made; it counts.
        Raises: what `open` and `read` raise, with the number of attempts.
        """

        async def attempt() -> _T:
            async with self.open(request) as response:
                return await read(response)

        return await self.retry(attempt, failed=failed)

    @asynccontextmanager
    async def open(self, request: Request) -> AsyncIterator[Response]:
        """Send `request` once, follow redirects, and hold the connection until the context ends.

        Raises: Unreachable, Throttled, Malformed; for files Missing, Refused.
        Cancellation: the connection is closed and its slot is free again.
        """
        async with self.connection_slot():
            response, sent_at = await self._follow(request)
            try:
                yield response
            finally:
                self.count(response, sent_at)
                await response.body.close()

    @asynccontextmanager
    async def connection_slot(self) -> AsyncIterator[None]:
        """Wait for one of the allowed connections, and hold it in this context."""
        holder = object()  # not the task: one task may hold a body and request a page
        with queued():
            await self._connections.acquire_on_behalf_of(holder)
        try:
            yield
        finally:
            self._connections.release_on_behalf_of(holder)

    def count(self, response: Response, sent_at: float) -> None:
        """Count a finished response; `sent_at` is the time of its request on `time.perf_counter`."""
        host = authority(response.request.url)
        if response.is_broken:
            self.metrics.broke(host)
        self.metrics.answered(host, response.status, response.size, time.perf_counter() - sent_at)

    async def _follow(self, request: Request) -> tuple[Response, float]:
        sent = request
        for _ in range(_REDIRECTS + 1):
            sent_at = time.perf_counter()
            response = await self._send_once(sent)
            if response.is_wanted:
                return response, sent_at
            try:
                location = response.redirect
                if location is None:
                    raise response.status_error()
                follow = self.allowed.file_redirect if request.kind == "file" else self.allowed.page_redirect
                sent = replace(sent, url=follow(sent.url, location), label=request.what)
            finally:
                await response.discard()
                self.count(response, sent_at)
        error = Refused if request.kind == "file" else Malformed
        raise error(request.what, why=f"more than {_REDIRECTS} redirects")

    async def _send_once(self, request: Request) -> Response:
        try:
            response = await self.send((request,)).next()
        except errors.TransportError as error:
            self.metrics.unanswered(authority(request.url))
            raise errors.transport_error(error, request.what) from error
        assert response is not None  # noqa: S101 -- the first response arrives or raises
        return response
