"""The one way to the network: bounded, patient, and never where it was not sent."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from http import HTTPStatus
from typing import Final, Literal, TypeVar

import httpx
import msgspec
import trio

from mirrorsync.errors import BadConfig, Malformed, Refused
from mirrorsync.upstream import answers
from mirrorsync.upstream.gate import Gate, authority
from mirrorsync.upstream.inflate import Inflater
from mirrorsync.upstream.retry import Patience, persevere
from mirrorsync.upstream.sending import Sender, open_sender
from mirrorsync.upstream.transport import Answer, Call, Limits
from mirrorsync.upstream.url import Url

MIB: Final = 1024 * 1024
PAGE_LIMIT: Final = 64 * MIB
"""Bytes decoded. PyPI's largest page has some ten thousand files of about 800 bytes each: under 10 MiB."""
XML_LIMIT: Final = 64 * MIB
"""Bytes decoded. A full answer of 50,000 rows has about 14 MB."""
ROOT_LIMIT: Final = 256 * MIB
"""Bytes decoded. PyPI's root list has some 40 MB."""
SILENCE: Final = 60.0
"""Seconds without a byte after which a connection counts as dead."""
_CONNECT_LIMIT: Final = 30.0
"""Seconds to a connection: ten SYNs' worth."""
_IDLE_LIMIT: Final = 30.0
"""Seconds that an unused connection is kept; content delivery networks drop them after about a minute."""
_SLOWEST: Final = 20
"""Times the silence limit that an index's answer may take in all: 20 minutes for one that drips."""
_REDIRECTS: Final = 3
_REDIRECTING: Final = frozenset({301, 302, 303, 307, 308})
_SMALL: Final = 64 * 1024
"""Bytes of an error page that are read so that its connection can be used again."""

_T = TypeVar("_T")


class Ask(msgspec.Struct, frozen=True):
    """One request."""

    url: Url
    headers: tuple[tuple[str, str], ...] = ()
    method: Literal["GET", "POST"] = "GET"
    content: bytes = b""
    kind: Literal["page", "file"] = "page"
    """By whose rules redirects are followed and statuses read."""
    statuses: frozenset[int] = frozenset({HTTPStatus.OK})
    """What is handed back; any other is an error."""
    silence: float | None = None
    """Seconds; None: the client's own."""

    @property
    def what(self) -> str:
        """The request as an operator reads it."""
        return f"{self.method} {str(self.url)[:200]}"


class Reply:
    """An answer whose body is still on the wire. It is good only inside `Client.exchange`."""

    def __init__(self, ask: Ask, url: Url, answer: Answer, *, silence: float) -> None:
        self._body = answer.body
        self._raw = aiter(answer.body)
        self._silence = silence
        self._headers = headers_of(answer)
        self._ask = ask
        self.status = answer.status
        self.reason = answer.reason.decode("ascii", "replace")
        self.url = url
        """After redirects."""
        self.coding = self._headers.get("content-encoding", "").strip().lower()

    @property
    def what(self) -> str:
        """The request as an operator reads it."""
        return self._ask.what

    @property
    def media_type(self) -> str:
        """The content type without its parameters, lower case; empty when there is none."""
        return self._headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def head(self) -> answers.Head:
        """What came before the body."""
        return answers.Head(self.status, self.reason, self._headers)

    def header(self, name: str) -> str | None:
        """Return a header's value, None when it is absent."""
        return self._headers.get(name.lower())

    @property
    def length(self) -> int | None:
        """The body's promised bytes as they travel, None when it is not told."""
        text = self.header("content-length") or ""
        return int(text) if text.isdecimal() and text.isascii() else None

    async def chunk(self) -> bytes:
        """Return the next bytes as they travel, undecoded; empty at the end of the body.

        Raises: CutShort, ServerFault (silence).
        """
        try:
            return await anext(self._raw, b"")
        except httpx.HTTPError as error:
            raise answers.read_error(error, self.what, silence=self._silence) from error

    async def pieces(self, limit: int) -> tuple[bytes, ...]:
        """Return the whole body as it travelled. Raises: as `body`, but for the coding."""
        return tuple(await self._whole(Inflater(self.what, coding="identity", limit=limit)))

    async def body(self, limit: int) -> bytes:
        """Return the whole body decoded.

        Raises: Malformed (more than `limit` bytes, broken or unknown coding), ServerFault (too slow), and as `chunk`.
        """
        inflater = Inflater(self.what, coding=self.coding, limit=limit)
        pieces = await self._whole(inflater)
        inflater.end()
        return b"".join(pieces)

    async def _whole(self, inflater: Inflater) -> list[bytes]:
        """Return all of an index's answer; unlike a file, it is small enough for a limit on its time."""
        pieces: list[bytes] = []
        with trio.move_on_after(_SLOWEST * self._silence):
            while chunk := await self.chunk():
                pieces.extend(inflater.feed(chunk))
            return pieces
        raise answers.ServerFault(self.what, why=f"too slow: not whole after {_SLOWEST * self._silence:g} s")

    async def finish(self) -> None:
        """Release the connection, whole or not."""
        await self._body.aclose()

    async def discard(self) -> None:
        """Read what is left of a small answer, so that its connection lives; close the connection of a large one."""
        seen = 0
        try:
            with suppress(httpx.HTTPError, httpx.StreamError):
                while (chunk := await anext(self._raw, b"")) and seen <= _SMALL:
                    seen += len(chunk)
        finally:
            await self._body.aclose()


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

    async def ask(self, ask: Ask, read: Callable[[Reply], Awaitable[_T]]) -> _T:
        """Return what `read` makes of the answer; both are repeated together while that is worth it.

        Raises: what `exchange` and `read` raise, with the number of attempts.
        """

        async def attempt() -> _T:
            async with self.exchange(ask) as reply:
                return await read(reply)

        return await persevere(self.patience, attempt)

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
            if reply.status in ask.statuses:
                return reply
            try:
                location = reply.header("location")
                if reply.status not in _REDIRECTING or location is None or ask.method != "GET":
                    judge = answers.file_status_error if ask.kind == "file" else answers.page_status_error
                    raise judge(reply.head, ask.what)
                follow = self.gate.file_redirect if ask.kind == "file" else self.gate.page_redirect
                url = follow(url, location)
            finally:
                await reply.discard()
        error = Refused if ask.kind == "file" else Malformed
        raise error(ask.what, why=f"more than {_REDIRECTS} redirects")

    async def _send_once(self, ask: Ask, url: Url, silence: float) -> Reply:
        headers = [(b"Host", authority(url).encode("ascii")), (b"User-Agent", self._user_agent)]
        headers += [(name.encode("ascii"), value.encode("ascii")) for name, value in ask.headers]
        if ask.method == "POST":
            headers.append((b"Content-Length", b"%d" % len(ask.content)))
        limits = Limits(connect=min(silence, _CONNECT_LIMIT), read=silence, write=silence)
        call = Call(method=ask.method, url=url, headers=tuple(headers), content=ask.content, limits=limits)
        try:
            answer = await self._sender.exchange(call)
        except httpx.HTTPError as error:
            raise answers.transport_error(error, ask.what, silence=silence) from error
        return Reply(ask, url, answer, silence=silence)


def headers_of(answer: Answer) -> dict[str, str]:
    """Return the headers by their lower-case names; one that came twice is joined by a comma (RFC 9110 5.3)."""
    found: dict[str, str] = {}
    for raw_name, raw_value in answer.headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


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
