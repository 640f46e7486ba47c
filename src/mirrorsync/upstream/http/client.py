"""The one way to the network: bounded, patient, and never where it was not sent."""

import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from http import HTTPStatus
from typing import Final, Generic, NamedTuple, TypeVar, cast

import httpx
import trio
from msgspec.structs import replace

from mirrorsync.errors import Malformed, MirrorsyncError, Refused
from mirrorsync.runtime import heartbeat as pulse
from mirrorsync.upstream.http import errors as answers
from mirrorsync.upstream.http.allowed_urls import AllowedUrls, authority
from mirrorsync.upstream.http.pipeline import Call, Fields, Header, Limits
from mirrorsync.upstream.http.request_metrics import NO_METRICS, RequestMetrics
from mirrorsync.upstream.http.response import Ask, Reply
from mirrorsync.upstream.http.retry import RetryPolicy, is_worth_retrying, retry
from mirrorsync.upstream.http.sender import Asked, Sender
from mirrorsync.upstream.http.url import Url

SILENCE: Final = 60.0
"""Seconds without a byte after which a connection counts as dead."""
_CONNECT_LIMIT: Final = 30.0
"""Seconds to a connection: ten SYNs' worth."""
IDLE_LIMIT: Final = 30.0
"""Seconds that an unused connection is kept; content delivery networks drop them after about a minute."""
_REDIRECTS: Final = 3

_T = TypeVar("_T")


class Question(NamedTuple, Generic[_T]):
    """A request, and what is made of its answer."""

    ask: Ask
    read: Callable[[Reply], Awaitable[_T]]
    at_once: Callable[[Fields, bytes], _T | None] | None = None
    """What is made of a 200 whose body is all here, as it travelled, without waiting; None: `read` is to."""


class Client:
    """Requests to one index and its file hosts. Made by `open_client`."""

    def __init__(
        self,
        sender: Sender,
        *,
        user_agent: str,
        gate: AllowedUrls,
        connections: trio.CapacityLimiter,
        patience: RetryPolicy,
        silence: float,
        meter: RequestMetrics = NO_METRICS,
    ) -> None:
        self._sender = sender
        self._user_agent = user_agent.encode("ascii")
        self._connections = connections
        self._silence = silence
        self._meter = meter
        self.gate = gate
        self.patience = replace(patience, meter=meter)

    async def ask(
        self, ask: Ask, read: Callable[[Reply], Awaitable[_T]], *, failed: MirrorsyncError | None = None
    ) -> _T:
        """Return what `read` makes of the answer; both are repeated together while that is worth it.

        `failed`: how a first attempt ended just now, which counts.

        Raises: what `exchange` and `read` raise, with the number of attempts.
        """

        async def attempt() -> _T:
            async with self.exchange(ask) as reply:
                return await read(reply)

        return await retry(self.patience, attempt, failed=failed)

    async def ask_all(self, questions: Sequence[Question[_T]]) -> list[_T | MirrorsyncError]:
        """Return what came of each question, or its failure, in their order; all are GETs of one origin.

        They are sent together on one connection. What has no answer there, or is to be asked again, is asked alone.
        Cancellation: the connection is closed.
        """
        results: list[_T | MirrorsyncError | None] = [None] * len(questions)

        async def settle(index: int) -> None:
            first = results[index]
            failed = first if isinstance(first, MirrorsyncError) else None
            try:
                results[index] = await self.ask(questions[index].ask, questions[index].read, failed=failed)
            except MirrorsyncError as error:
                results[index] = error.as_value()

        await self.ask_once(questions, results.__setitem__)
        open_ones = [
            index
            for index, first in enumerate(results)
            if first is None or (isinstance(first, MirrorsyncError) and is_worth_retrying(first))
        ]
        if open_ones:
            async with trio.open_nursery() as nursery:
                for index in open_ones:
                    nursery.start_soon(settle, index)
        return cast("list[_T | MirrorsyncError]", results)

    async def ask_once(
        self,
        questions: Sequence[Question[_T]],
        take: Callable[[int, _T | MirrorsyncError | None], None],
        *,
        hold_up: float = math.inf,
    ) -> None:
        """Send GETs of one origin together, once; `take` is given each one's index and what came of it, as it comes.

        That is None where no answer came, where it came from another place, or where an answer before it took longer
        than `hold_up` seconds: such a question is to be asked alone. Cancellation: the connection is closed.
        """
        volley = self._sender.volley([self._call(ask, ask.url, self._silence) for ask, _, _ in questions])
        place = object()
        with pulse.queued():
            await self._connections.acquire_on_behalf_of(place)
        rest = iter(range(len(questions)))
        patience = trio.CancelScope(deadline=trio.current_time() + hold_up)

        async def let_go() -> None:
            with patience:
                await trio.sleep_forever()
            for index in rest:
                take(index, None)

        try:
            if hold_up == math.inf:
                await self._take_answers(volley, questions, rest, take)
            else:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(let_go)
                    await self._take_answers(volley, questions, rest, take, patience)
                    nursery.cancel_scope.cancel()
        finally:
            volley.close()
            self._connections.release_on_behalf_of(place)
        for index in rest:
            take(index, None)

    async def _take_answers(
        self,
        volley: Asked,
        questions: Sequence[Question[_T]],
        rest: Iterator[int],
        take: Callable[[int, _T | MirrorsyncError | None], None],
        patience: trio.CancelScope | None = None,
    ) -> None:
        """Take `rest`, one by one, until the connection gives no more; each answer renews `patience`."""
        hold_up = 0.0 if patience is None else patience.deadline - trio.current_time()
        asked_at = time.perf_counter()
        for index in rest:
            question = questions[index]
            result: _T | MirrorsyncError | None = None
            try:
                goes_on = await volley.advance()
                if goes_on:
                    result = self._take_at_once(question, volley, asked_at)
                    if result is None:
                        result = await self._take(question, volley, asked_at)
                    asked_at = time.perf_counter()  # the next one's answer comes behind this one's
            except httpx.HTTPError as error:
                goes_on = False
                self._meter.unanswered(authority(question.ask.url))
                if index == 0:
                    result = answers.transport_error(error, question.ask.what, silence=self._silence)
            except MirrorsyncError as error:  # the certificates cannot be read
                goes_on, result = False, error.as_value()
            take(index, result)
            if not goes_on:
                return
            if patience is not None:
                patience.deadline = trio.current_time() + hold_up

    def _take_at_once(self, question: Question[_T], volley: Asked, asked_at: float) -> _T | MirrorsyncError | None:
        """Return what comes of an answer that is all here, None where it is not, or wants a closer look."""
        response = volley.whole()
        if question.at_once is None or response is None or response.status != HTTPStatus.OK:
            return None
        body = b"".join(response.body)
        try:
            result: _T | MirrorsyncError | None = question.at_once(response.fields, body)
        except MirrorsyncError as error:
            result = error.as_value()
        if result is not None:
            response.body.clear()
            volley.ended()
            pulse.beat()
            seconds = time.perf_counter() - asked_at
            self._meter.answered(authority(question.ask.url), response.status, len(body), seconds)
        return result

    async def _take(self, question: Question[_T], volley: Asked, asked_at: float) -> _T | MirrorsyncError | None:
        ask, read, _ = question
        reply = Reply(ask, ask.url, volley.answer(), silence=self._silence, meter=self._meter, asked_at=asked_at)
        try:
            if reply.is_wanted:
                return await read(reply)
            return reply.refusal() if reply.redirects_to is None else None
        except MirrorsyncError as error:
            return error.as_value()
        finally:
            await reply.discard()

    @asynccontextmanager
    async def exchange(self, ask: Ask) -> AsyncIterator[Reply]:
        """Send `ask` once and hold its connection until the context ends.

        Raises: Unreachable, Throttled, Malformed; for files Missing, Refused.
        Cancellation: the connection is closed and its place given back.
        """
        silence = self._silence if ask.silence is None else ask.silence
        place = object()  # not the task: one task may hold a body and ask for a page
        with pulse.queued():
            await self._connections.acquire_on_behalf_of(place)
        try:
            reply = await self._send(ask, silence)
            try:
                yield reply
            finally:
                await reply.finish()
        finally:
            self._connections.release_on_behalf_of(place)

    async def _send(self, ask: Ask, silence: float) -> Reply:
        url = ask.url
        for _ in range(_REDIRECTS + 1):
            reply = await self._send_once(ask, url, silence)
            if reply.is_wanted:
                return reply
            try:
                location = reply.redirects_to
                if location is None:
                    raise reply.refusal()
                follow = self.gate.file_redirect if ask.kind == "file" else self.gate.page_redirect
                url = follow(url, location)
            finally:
                await reply.discard()
        error = Refused if ask.kind == "file" else Malformed
        raise error(ask.what, why=f"more than {_REDIRECTS} redirects")

    async def _send_once(self, ask: Ask, url: Url, silence: float) -> Reply:
        asked_at = time.perf_counter()
        try:
            answer = await self._sender.exchange(self._call(ask, url, silence))
        except httpx.HTTPError as error:
            self._meter.unanswered(authority(url))
            raise answers.transport_error(error, ask.what, silence=silence) from error
        return Reply(ask, url, answer, silence=silence, meter=self._meter, asked_at=asked_at)

    def _call(self, ask: Ask, url: Url, silence: float) -> Call:
        headers = _headers(authority(url), self._user_agent, ask.headers)
        if ask.method == "POST":
            headers = (*headers, (b"Content-Length", b"%d" % len(ask.content)))
        return Call(method=ask.method, url=url, headers=headers, content=ask.content, limits=_limits(silence))


@lru_cache(maxsize=256)
def _headers(host: str, user_agent: bytes, headers: tuple[tuple[str, str], ...]) -> tuple[Header, ...]:
    told = [(name.encode("ascii"), value.encode("ascii")) for name, value in headers]
    return (b"Host", host.encode("ascii")), (b"User-Agent", user_agent), *told


@lru_cache(maxsize=8)
def _limits(silence: float) -> Limits:
    return Limits(connect=min(silence, _CONNECT_LIMIT), read=silence, write=silence)
