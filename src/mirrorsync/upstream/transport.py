"""The fast path: an httpx transport for HTTP/1.1 over trio. Proxies and anything exotic take httpx's own.

httpx's stock transport costs 0.7 to 1.9 ms a request on trio, growing with its connections; this one keeps a stack
of idle connections per origin and lets llhttp parse (bench/README.md has the figures).
"""

import math
import select
import ssl
from collections import defaultdict
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Final, Self

import httpx
import msgspec
import trio

from mirrorsync.upstream.http1 import BadResponse, ResponseParser
from mirrorsync.upstream.url import Url

_RECEIVE: Final = 256 * 1024
"""Bytes asked of the socket at a time."""
_IDLE_LIMIT: Final = 30.0
"""Seconds after which an idle connection is not trusted any more (load balancers drop them silently at 60)."""
_IDLE_MOST: Final = 64
"""Idle connections kept per origin."""
_SAFE: Final = frozenset({"GET", "HEAD"})
_DIED: Final = (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)

Origin = tuple[str, bytes, int]
"""Scheme, host, port."""


class Limits(msgspec.Struct, frozen=True):
    """Seconds without progress after which a step is given up."""

    connect: float
    read: float
    write: float


class Call(msgspec.Struct, frozen=True):
    """One request, whole."""

    method: str
    url: Url
    headers: tuple[tuple[bytes, bytes], ...]
    """Among them Host, and Content-Length where there is content."""
    content: bytes
    limits: Limits


class Answer:
    """A response whose body is still on the wire."""

    def __init__(
        self, status: int, reason: bytes, headers: list[tuple[bytes, bytes]], body: httpx.AsyncByteStream
    ) -> None:
        self.status = status
        self.reason = reason
        self.headers = headers
        self.body = body
        """Iterated over once; closed when it is left before its end."""


class Transport(httpx.AsyncBaseTransport):
    """HTTP/1.1 with connections that are kept alive, and given up the moment they are in doubt.

    Raises httpx's exceptions. Timeouts are those of the request (connect, read, write), each for one step: a body may
    take for ever as long as it comes. Cancellation: the connection of the exchange is closed.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        """`context` must verify what it meets."""
        context.set_alpn_protocols(["http/1.1"])
        self._context = context
        self._idle: defaultdict[Origin, list[_Connection]] = defaultdict(list)

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
        for connections in self._idle.values():
            while connections:
                await connections.pop().close()

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
        answer = await self.exchange(call)
        return httpx.Response(
            answer.status,
            headers=answer.headers,
            stream=answer.body,
            extensions={"http_version": b"HTTP/1.1", "reason_phrase": answer.reason},
        )

    async def exchange(self, call: Call) -> Answer:
        """Send `call`; the answer's body is read from the wire as it is iterated over."""
        url = call.url
        origin = (url.scheme, url.raw_host, url.port or (443 if url.scheme == "https" else 80))
        data = _serialise(call)
        while True:
            connection, reused = await self._connection(origin, call.limits.connect)
            parser = ResponseParser(has_body=call.method != "HEAD")
            try:
                await connection.send(data, call.limits.write)
                while not parser.has_head:
                    await connection.receive(parser, call.limits.read)
            except BaseException as error:
                await connection.close()
                # The peer closed it while it was idle: nothing of the request was answered, so it is asked anew.
                if reused and parser.untouched and call.method in _SAFE and isinstance(error, _DIED):
                    continue
                raise
            body = _Body(self, connection, parser, call.limits.read)
            if parser.complete and not parser.body:
                await body.aclose()
            return Answer(parser.status, parser.reason, parser.headers, body)

    async def give_back(self, connection: "_Connection") -> None:
        """Keep a connection whose response was read to its end."""
        idle = self._idle[connection.origin]
        if len(idle) >= _IDLE_MOST:
            await connection.close()
        else:
            connection.idle_since = trio.current_time()
            idle.append(connection)

    async def _connection(self, origin: Origin, limit: float) -> tuple["_Connection", bool]:
        idle = self._idle[origin]
        while idle:
            connection = idle.pop()  # the one used last: the others may then grow old and go
            if trio.current_time() - connection.idle_since <= _IDLE_LIMIT and not connection.has_news():
                return connection, True
            await connection.close()
        return await _connect(origin, self._context, limit), False


class _Connection:
    def __init__(self, origin: Origin, stream: trio.abc.Stream, socket: trio.SocketStream) -> None:
        self.origin = origin
        self.idle_since = 0.0
        self._stream = stream
        self._poll = select.poll()
        self._poll.register(socket.socket.fileno(), select.POLLIN)

    def has_news(self) -> bool:
        """Tell whether something has come though nothing was asked: an end, or what nobody should send."""
        return bool(self._poll.poll(0))

    async def send(self, data: bytes, limit: float) -> None:
        try:
            with trio.fail_after(limit):
                await self._stream.send_all(data)
        except trio.TooSlowError as error:
            raise httpx.WriteTimeout(f"nothing could be sent for {limit:g} s") from error
        except trio.BrokenResourceError as error:
            raise httpx.WriteError(str(error.__cause__ or error)) from error

    async def receive(self, parser: ResponseParser, limit: float) -> None:
        """Feed `parser` with what comes next."""
        try:
            with trio.fail_after(limit):
                data = await self._stream.receive_some(_RECEIVE)
            if data:
                parser.feed(bytes(data))
            else:
                parser.feed_end()
        except trio.TooSlowError as error:
            raise httpx.ReadTimeout(f"nothing came for {limit:g} s") from error
        except trio.BrokenResourceError as error:
            raise httpx.ReadError(str(error.__cause__ or error)) from error
        except BadResponse as error:
            raise httpx.RemoteProtocolError(str(error)) from error

    async def close(self) -> None:
        """Close without a farewell: TLS's close_notify would wait for a peer that may not answer."""
        await trio.aclose_forcefully(self._stream)


class _Body(httpx.AsyncByteStream):
    """A response's body. Read to its end, its connection is kept; left before it, its connection is closed."""

    def __init__(self, transport: Transport, connection: _Connection, parser: ResponseParser, limit: float) -> None:
        self._transport = transport
        self._connection: _Connection | None = connection
        self._parser = parser
        self._limit = limit

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        parser, connection = self._parser, self._connection
        while True:
            if parser.body:
                data = parser.body[0] if len(parser.body) == 1 else b"".join(parser.body)
                parser.body.clear()
                return data
            if parser.complete or connection is None:
                await self.aclose()
                raise StopAsyncIteration
            try:
                await connection.receive(parser, self._limit)
            except BaseException:
                await self.aclose()
                raise

    async def aclose(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self._parser.complete and self._parser.keeps_alive:
            await self._transport.give_back(connection)
        else:
            await connection.close()


async def _connect(origin: Origin, context: ssl.SSLContext, limit: float) -> _Connection:
    """Open a connection: every address of the host, IPv6 and IPv4 side by side. Source: RFC 8305."""
    scheme, host, port = origin
    name = host.decode("ascii").strip("[]")
    try:
        with trio.fail_after(limit):
            plain = await trio.open_tcp_stream(name, port)
            if scheme != "https":
                return _Connection(origin, plain, plain)
            secure = trio.SSLStream(plain, context, server_hostname=name, https_compatible=True)
            try:
                await secure.do_handshake()
            except BaseException:
                await trio.aclose_forcefully(secure)
                raise
            return _Connection(origin, secure, plain)
    except trio.TooSlowError as error:
        raise httpx.ConnectTimeout(f"no connection within {limit:g} s") from error
    except (OSError, trio.BrokenResourceError) as error:
        raise httpx.ConnectError(str(error.__cause__ or error)) from error


def _serialise(call: Call) -> bytes:
    """Return the request as it travels. Raises: LocalProtocolError, when a value would break out of its line."""
    lines = [b"%s %s HTTP/1.1" % (call.method.encode("ascii"), call.url.raw_path)]
    lines += [b"%s: %s" % header for header in call.headers]
    head = b"\r\n".join(lines)
    if head.count(b"\n") != len(lines) - 1 or head.count(b"\r") != len(lines) - 1 or b"\0" in head:
        raise httpx.LocalProtocolError("a header or the target holds a line end")
    return b"%s\r\n\r\n%s" % (head, call.content)


async def _content(request: httpx.Request) -> bytes:
    if not isinstance(request.stream, httpx.AsyncByteStream):
        raise httpx.LocalProtocolError("only bodies that are there whole are sent")
    return b"".join([part async for part in request.stream])
