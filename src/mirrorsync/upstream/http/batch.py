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
        if len(self._arrived) == 1:
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
        return self.take()

    def take(self) -> list[_Result]:
        """Return what has arrived since the last group."""
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
    hold_up: float,
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
            nursery.start_soon(batch.watch, hold_up)
        try:
            yield batch.arrivals
        except Exception as error:  # noqa: BLE001 -- raised below: the nursery would wrap it in a group
            raised = error
        nursery.cancel_scope.cancel()
    if raised is not None:
        raise raised


async def fetch_all(
    client: Client,
    requests: Sequence[tuple[_Key, Request]],
    read: Callable[[_Key, Response], Awaitable[_T]],
    result: Callable[[_Key, _T | MirrorsyncError], _Result],
) -> list[_Result]:
    """Send GETs of one origin together, then alone what `fetch_together` sends alone; return all results, unordered."""
    batch = _Batch(client, requests, read, result)
    await batch.run()
    if batch.unsettled:
        async with trio.open_nursery() as nursery:
            for key, request, failed in batch.unsettled:
                nursery.start_soon(batch.send_alone, key, request, failed)
    return batch.arrivals.take()


class _Batch(Generic[_Key, _T, _Result]):
    def __init__(
        self,
        client: Client,
        requests: Sequence[tuple[_Key, Request]],
        read: Callable[[_Key, Response], Awaitable[_T]],
        result: Callable[[_Key, _T | MirrorsyncError], _Result],
        nursery: trio.Nursery | None = None,
    ) -> None:
        self._client = client
        self._left = deque(requests)
        self._read = read
        self._result = result
        self._nursery = nursery
        self._is_first = True
        self._progress_at = math.inf
        """When the last response was settled; infinite while there is no connection yet."""
        self.arrivals: Arrivals[_Result] = Arrivals(len(requests))
        self.unsettled: list[tuple[_Key, Request, MirrorsyncError | None]] = []
        """Without a nursery: the requests to send alone, each with the error of a first attempt, if there was one."""

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
        self._retry_rest()

    async def watch(self, hold_up: float) -> None:
        """Have the rest sent elsewhere once a response takes longer than `hold_up` seconds."""
        while self._left:
            left = self._progress_at + hold_up - trio.current_time()
            if left <= 0:
                self._retry_rest()
                return
            await trio.sleep(min(left, hold_up))

    def _retry_rest(self) -> None:
        while self._left:
            self._retry(*self._left.popleft(), None)

    def _retry(self, key: _Key, request: Request, failed: MirrorsyncError | None) -> None:
        if self._nursery is None:
            self.unsettled.append((key, request, failed))
        else:
            self._nursery.start_soon(self.send_alone, key, request, failed)

    async def _settle_next(self, responses: Responses) -> bool:
        """Settle the next request; return False if the connection yields no more."""
        key, request = self._left.popleft()
        is_first, self._is_first = self._is_first, False
        sent_at = time.perf_counter()
        outcome: _T | MirrorsyncError | None = None
        response: Response | None = None
        try:
            response = await responses.next()
        except TransportError as error:
            self._client.metrics.unanswered(authority(request.url))
            if is_first:  # the peer may never have seen a later one: for that this is no attempt
                outcome = transport_error(error, request.what)
        except MirrorsyncError as error:  # unreadable certificates
            outcome = error
        if response is not None:
            outcome = await self._outcome(key, response, sent_at)
        if outcome is None:
            self._retry(key, request, None)
        elif isinstance(outcome, MirrorsyncError) and is_retryable(outcome):
            self._retry(key, request, outcome)
        else:
            self.arrivals.add(self._result(key, outcome))
        return response is not None

    async def _outcome(self, key: _Key, response: Response, sent_at: float) -> _T | MirrorsyncError | None:
        """Return what is made of the response; None if it redirects."""
        try:
            if response.is_wanted:
                return await self._read(key, response)
            return response.status_error() if response.redirect is None else None
        except MirrorsyncError as error:
            return error.as_value()
        finally:
            await response.discard()
            self._client.count(response, sent_at)

    async def send_alone(self, key: _Key, request: Request, failed: MirrorsyncError | None) -> None:
        """Send the request within the retry budget, of which `failed` was an attempt; settle it."""

        async def read(response: Response) -> _T:
            return await self._read(key, response)

        outcome: _T | MirrorsyncError
        try:
            outcome = await self._client.fetch(request, read, failed=failed)
        except MirrorsyncError as error:
            outcome = error.as_value()
        self.arrivals.add(self._result(key, outcome))
