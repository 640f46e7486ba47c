"""The one way to the network: bounded, patient, and never where it was not sent."""

import math
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import lru_cache
from typing import Final, TypeVar, cast

import httpx
import trio

from mirrorsync.errors import BadConfig, Malformed, MirrorsyncError, Refused
from mirrorsync.upstream import answers
from mirrorsync.upstream.gate import Gate, authority
from mirrorsync.upstream.reply import Ask, Reply
from mirrorsync.upstream.retry import Patience, is_worth_retrying, persevere
from mirrorsync.upstream.sending import Asked, Sender, open_sender
from mirrorsync.upstream.url import Url
from mirrorsync.upstream.volley import Call, Header, Limits

SILENCE: Final = 60.0
"""Seconds without a byte after which a connection counts as dead."""
_CONNECT_LIMIT: Final = 30.0
"""Seconds to a connection: ten SYNs' worth."""
_IDLE_LIMIT: Final = 30.0
"""Seconds that an unused connection is kept; content delivery networks drop them after about a minute."""
_REDIRECTS: Final = 3

_T = TypeVar("_T")
Question = tuple[Ask, Callable[[Reply], Awaitable[_T]]]
"""A request, and what is made of its answer."""


class Client:
    """Requests to one index and its file hosts. Made by `open_client`."""

    def __init__(
        self,
        sender: Sender,
        *,
        user_agent: str,
        gate: Gate,
        connections: trio.CapacityLimiter,
        patience: Patience,
        silence: float,
    ) -> None:
        self._sender = sender
        self._user_agent = user_agent.encode("ascii")
        self._connections = connections
        self._silence = silence
        self.gate = gate
        self.patience = patience

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

        return await persevere(self.patience, attempt, failed=failed)

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
                results[index] = await self.ask(*questions[index], failed=failed)
            except MirrorsyncError as error:
                results[index] = error

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
        volley = self._sender.volley([self._call(ask, ask.url, self._silence) for ask, _ in questions])
        place = object()
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
            await volley.aclose()
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
        for index in rest:
            ask, read = questions[index]
            result: _T | MirrorsyncError | None = None
            try:
                answer = await (volley.next() if index else volley.first())
                if answer is not None:
                    reply = Reply(ask, ask.url, answer, silence=self._silence)
                    result = await self._take(reply, read)
            except httpx.HTTPError as error:
                answer = None
                if index == 0:
                    result = answers.transport_error(error, ask.what, silence=self._silence)
            take(index, result)
            if answer is None:
                return
            if patience is not None:
                patience.deadline = trio.current_time() + hold_up

    async def _take(self, reply: Reply, read: Callable[[Reply], Awaitable[_T]]) -> _T | MirrorsyncError | None:
        try:
            if reply.is_wanted:
                return await read(reply)
            return reply.refusal() if reply.redirects_to is None else None
        except MirrorsyncError as error:
            return error
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
        try:
            answer = await self._sender.exchange(self._call(ask, url, silence))
        except httpx.HTTPError as error:
            raise answers.transport_error(error, ask.what, silence=silence) from error
        return Reply(ask, url, answer, silence=silence)

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


@asynccontextmanager
async def open_client(  # each is one word of the configuration
    *,
    user_agent: str,
    connections: trio.CapacityLimiter,
    gate: Gate,
    proxy: str | None = None,
    ca_file: str | None = None,
    patience: Patience | None = None,
    silence: float = SILENCE,
) -> AsyncIterator[Client]:
    """Open a client whose connections are closed when the context ends. `silence` in seconds.

    Certificates are always verified, against `ca_file`, else SSL_CERT_FILE, else certifi's list.
    Raises: BadConfig, for an unusable proxy or certificate file.
    """
    async with AsyncExitStack() as stack:
        try:
            context = ssl.create_default_context(cafile=ca_file) if ca_file else httpx.create_ssl_context()
            sender = await stack.enter_async_context(open_sender(context, proxy=proxy, keep_alive=_IDLE_LIMIT))
        except OSError as error:
            raise BadConfig(f"ca-file {ca_file!r} cannot be used", why=str(error)) from error
        except (ValueError, ImportError, httpx.InvalidURL) as error:
            raise BadConfig("the proxy cannot be used", why=str(error), hint="proxy = http://HOST:PORT") from error
        yield Client(
            sender,
            user_agent=user_agent,
            gate=gate,
            connections=connections,
            patience=patience or Patience(),
            silence=silence,
        )
