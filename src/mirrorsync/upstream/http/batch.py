"""Requests that are sent together, and their results in groups as they arrive."""

import math
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Generic, Self, TypeVar

import trio

from mirrorsync.errors import MirrorsyncError
from mirrorsync.upstream.http.client import Client, Responses
from mirrorsync.upstream.http.errors import TransportError, transport_error
from mirrorsync.upstream.http.message import Request, Response
from mirrorsync.upstream.http.retry import is_retryable
from mirrorsync.upstream.http.url import authority

_Key = TypeVar("_Key")
_T = TypeVar("_T")
_Result = TypeVar("_Result")


class Arrivals(Generic[_Result]):
    """Iterate over `expected` results, in groups of all that have arrived; it waits only if there is none."""

    def __init__(self, expected: int) -> None:
        self._expected = expected
        self._arrived: list[_Result] = []
        self._has_arrived = trio.Event()

    def add(self, result: _Result) -> None:
        """Add one result to the next group."""
        self._arrived.append(result)
        self._has_arrived.set()

    def __aiter__(self) -> Self:
        """Return self; there is one consumer."""
        return self

    async def __anext__(self) -> Sequence[_Result]:
        """Return the next group, which is never empty."""
        if not self._expected:
            raise StopAsyncIteration
        if not self._arrived:
            self._has_arrived = trio.Event()
            await self._has_arrived.wait()
        group, self._arrived = self._arrived, []
        self._expected -= len(group)
        return group


@asynccontextmanager
async def fetch_together(
    client: Client,
    requests: Sequence[tuple[_Key, Request]],
    read: Callable[[_Key, Response], Awaitable[_T]],
    result: Callable[[_Key, _T | MirrorsyncError], _Result],
    *,
    hold_up: float = math.inf,
) -> AsyncIterator[Arrivals[_Result]]:
    """Send GETs of one origin together; iterate over their results in groups, each made by `result` of its outcome.

    The outcome is what `read` returns or raises. A request is sent again alone, within the retry budget, if its error
    may pass, if it is redirected, if the connection ended before its response, or if a response before it takes longer
    than `hold_up` seconds. Leaving the context cancels what has no result yet and closes its connections.
    """
    raised: Exception | None = None
    async with trio.open_nursery() as nursery:
        batch = _Batch(client, requests, read, result, nursery)
        if requests:
            nursery.start_soon(batch.run)
            nursery.start_soon(batch.send_rest_alone, hold_up)
        try:
            yield batch.arrivals
        except Exception as error:  # noqa: BLE001 -- raised below: the nursery would wrap it in a group
            raised = error
        nursery.cancel_scope.cancel()
    if raised is not None:
        raise raised


class _Batch(Generic[_Key, _T, _Result]):
    def __init__(
        self,
        client: Client,
        requests: Sequence[tuple[_Key, Request]],
        read: Callable[[_Key, Response], Awaitable[_T]],
        result: Callable[[_Key, _T | MirrorsyncError], _Result],
        nursery: trio.Nursery,
    ) -> None:
        self._client = client
        self._left = deque(requests)
        self._read = read
        self._result = result
        self._nursery = nursery
        self._is_first = True
        self._progress_at = math.inf
        """When the last response was settled; infinite while there is no connection yet."""
        self._run_ended = trio.Event()
        self.arrivals: Arrivals[_Result] = Arrivals(len(requests))

    async def run(self) -> None:
        """Send all requests together, and settle those that are answered."""
        async with self._client.connection_slot():
            responses = self._client.send([request for _, request in self._left])
            try:
                goes_on = True
                while goes_on and self._left:
                    self._progress_at = trio.current_time()
                    goes_on = await self._settle_next(responses)
            finally:
                responses.abandon()
        self._run_ended.set()

    async def send_rest_alone(self, hold_up: float) -> None:
        """Wait until the connection yields no more or a response takes too long; then send the rest elsewhere."""
        while not self._run_ended.is_set() and (waited := trio.current_time() - self._progress_at) < hold_up:
            with trio.move_on_after(hold_up - max(waited, 0.0)):
                await self._run_ended.wait()
        while self._left:
            self._settle(*self._left.popleft(), None)

    async def _settle_next(self, responses: Responses) -> bool:
        """Settle the next request; return False if the connection yields no more."""
        key, request = self._left.popleft()
        is_first, self._is_first = self._is_first, False
        sent_at = time.perf_counter()
        try:
            response = await responses.next()
        except TransportError as error:
            self._client.metrics.unanswered(authority(request.url))
            # The peer may never have seen the later ones: for them this is no attempt.
            self._settle(key, request, transport_error(error, request.what) if is_first else None)
            return False
        except MirrorsyncError as error:  # unreadable certificates
            self._settle(key, request, error)
            return False
        self._settle(key, request, None if response is None else await self._outcome(key, response, sent_at))
        return response is not None

    async def _outcome(self, key: _Key, response: Response, sent_at: float) -> _T | MirrorsyncError | None:
        try:
            if response.is_wanted:
                return await self._read(key, response)
            return response.status_error() if response.redirect is None else None
        except MirrorsyncError as error:
            return error.as_value()
        finally:
            await response.discard()
            self._client.count(response, sent_at)

    def _settle(self, key: _Key, request: Request, outcome: _T | MirrorsyncError | None) -> None:
        if outcome is None:
            self._nursery.start_soon(self._send_alone, key, request, None)
        elif isinstance(outcome, MirrorsyncError) and is_retryable(outcome):
            self._nursery.start_soon(self._send_alone, key, request, outcome)
        else:
            self.arrivals.add(self._result(key, outcome))

    async def _send_alone(self, key: _Key, request: Request, failed: MirrorsyncError | None) -> None:
        async def read(response: Response) -> _T:
            return await self._read(key, response)

        outcome: _T | MirrorsyncError
        try:
            outcome = await self._client.fetch(request, read, failed=failed)
        except MirrorsyncError as error:
            outcome = error.as_value()
        self.arrivals.add(self._result(key, outcome))
