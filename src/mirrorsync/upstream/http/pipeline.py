"""Requests that travel together, and their answers one after the other."""

from collections.abc import AsyncIterator, Mapping, Sequence
from functools import lru_cache
from typing import Final

import httpx
import msgspec

from mirrorsync.model.objects import Chunk
from mirrorsync.upstream.http.http1 import BadResponse, Response, ResponseParser
from mirrorsync.upstream.http.pool import Connection, ConnectionPool
from mirrorsync.upstream.http.url import Url

_SAFE: Final = frozenset({"GET", "HEAD"})
_DIED: Final = (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)
_BLOCK: Final = 2**20
"""Bytes of a large body that are read before they are handed on: hashing and writing them costs one thread hop."""
_BREAKS: Final = frozenset(b"\r\n\0 ")

Header = tuple[bytes, bytes]
Fields = Mapping[bytes, bytes]
"""Headers by their lower-case names; one that came twice is joined by a comma (RFC 9110 5.3)."""


class Limits(msgspec.Struct, frozen=True):
    """Seconds without progress after which a step is given up."""

    connect: float
    read: float
    write: float


class Call(msgspec.Struct, frozen=True):
    """One request, whole."""

    method: str
    url: Url
    headers: tuple[Header, ...]
    """Among them Host, and Content-Length where there is content."""
    content: bytes
    limits: Limits


class Answer(msgspec.Struct, frozen=True):
    """A response whose body is still on the wire."""

    status: int
    reason: bytes
    fields: Fields
    body: "Body"
    """Iterated over once; closed when it is left before its end."""
    headers: Sequence[Header] = ()
    """As they came, where that was asked for."""


class Body(httpx.AsyncByteStream):
    """A response's body. Raises: httpx.HTTPError. Left before its end, its connection is closed."""

    is_at_end = False
    """Whether all of it was taken."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Iterate over the bytes as they come."""
        return self

    async def __anext__(self) -> bytes:
        """Return the next bytes."""
        if data := await self.more():
            return data
        raise StopAsyncIteration

    async def more(self) -> bytes:
        """Return the next bytes; empty at the end."""
        raise NotImplementedError

    async def block(self) -> Chunk:
        """Return the next bytes in large pieces; empty at the end."""
        raise NotImplementedError


class Pipeline:
    """Requests that go out together on one connection; their answers come in the same order (RFC 9112 9.3.2).

    The first goes alone on a new connection: only once it is answered whole, by a peer that keeps the connection,
    the others follow at once. To be closed by whoever leaves it early.
    """

    def __init__(self, connections: ConnectionPool, calls: Sequence[Call], *, keeps_headers: bool = False) -> None:
        self._connections = connections
        self._keeps_headers = keeps_headers
        self._calls = calls
        self._sent = 0
        self._taken = 0
        self._connection: Connection | None = None
        self._parser: ResponseParser
        self._response: Response | None = None
        self._past = 0
        """Bytes of the body that were read past the parser."""
        self._broke: httpx.HTTPError | None = None
        url = calls[0].url
        self._origin = (url.scheme, url.raw_host, url.port or (443 if url.scheme == "https" else 80))

    async def advance(self) -> bool:
        """Go on to the next answer, leaving what is left of the one before; False when this connection gives no more.

        Raises: httpx.HTTPError.
        """
        if not self._taken:
            await self._begin()
            return True
        response = self._response
        if self._taken == len(self._calls) or self._connection is None or response is None or not response.complete:
            return False
        try:
            if self._taken == self._sent:
                together = self._connections.takes_volleys(self._origin)
                rest = self._calls[self._sent : None if together else self._sent + 1]
                self._sent += len(rest)
                self._parser.expect(len(rest))
                await self._connection.send(b"".join(map(_serialise, rest)), rest[0].limits.write)
            await self._head()
        except BaseException as error:
            if isinstance(error, httpx.HTTPError):
                self._connections.strike(self._origin)
            self.close()
            raise
        return True

    async def _begin(self) -> None:
        call = self._calls[0]
        while True:
            self._connection, reused = await self._connections.take(self._origin, call.limits.connect)
            together = reused and self._connections.takes_volleys(self._origin)
            outgoing = self._calls if together else self._calls[:1]
            self._sent = len(outgoing)
            self._parser = ResponseParser(
                has_body=call.method != "HEAD", expected=self._sent, keeps_headers=self._keeps_headers
            )
            try:
                await self._connection.send(b"".join(map(_serialise, outgoing)), call.limits.write)
                await self._head()
            except BaseException as error:
                self.close()
                # The peer closed it while it was idle: nothing of the request was answered, so it is asked anew.
                if reused and self._parser.untouched and call.method in _SAFE and isinstance(error, _DIED):
                    continue
                raise
            return

    async def _head(self) -> None:
        parser = self._parser
        if self._response is not None:
            parser.responses.popleft()
        self._response = None
        while not (parser.responses and parser.responses[0].has_head):
            await self._receive()
        self._taken += 1
        self._response = response = parser.responses[0]
        if response.complete and not response.body:
            self.ended()

    def whole(self) -> Response | None:
        """Return the answer if all of it is here."""
        response = self._response
        return response if response is not None and response.complete else None

    def answer(self) -> Answer:
        """Return the answer, to be read from the wire."""
        response = self._response
        assert response is not None  # noqa: S101 -- `advance` went to it
        return Answer(response.status, response.reason, response.fields, _Body(self, response), response.headers)

    async def _receive(self) -> None:
        assert self._connection is not None  # noqa: S101 -- whoever reads has an open one
        data = await self._connection.receive(self._calls[0].limits.read)
        try:
            if data:
                self._parser.feed(data)
            else:
                self._parser.feed_end()
        except BadResponse as error:
            raise httpx.RemoteProtocolError(str(error)) from error

    async def more(self) -> bytes:
        """Return the next bytes of the answer that was given last; empty at its end. Raises: httpx.HTTPError."""
        response = self._response
        while response is not None:
            if response.body:
                data = response.body[0] if len(response.body) == 1 else b"".join(response.body)
                response.body.clear()
                return data
            if response.complete or self._connection is None:
                break
            try:
                await self._receive()
            except BaseException:
                self.close()
                raise
        self.ended()
        return b""

    async def block(self) -> Chunk:
        """As `more`, in large pieces that go past the parser where the body's length is told."""
        response, left = self._response, self._parser.body_left
        if response is None or response.body or response.complete or len(self._calls) > 1 or not left:
            return await self.more()
        buffer = bytearray(min(left - self._past, _BLOCK))
        filled = 0
        try:
            with memoryview(buffer) as view:
                filled = await self._fill(view)
        except BaseException:
            self.close()
            raise
        self._past += filled
        if self._past == left:
            self._parser.end_elsewhere()
        del buffer[filled:]
        return buffer

    async def _fill(self, view: memoryview) -> int:
        """Fill `view`, or what comes of it before an error, which the next call raises."""
        filled = 0
        if self._broke is not None:
            raise self._broke
        while filled < len(view) and self._connection is not None:
            try:
                with view[filled:] as rest:
                    received = await self._connection.receive_into(rest, self._calls[0].limits.read)
                if not received:
                    raise httpx.RemoteProtocolError("the connection ended within the body")
            except httpx.HTTPError as error:
                self._broke = error
                break
            filled += received
        if self._broke is not None and not filled:
            raise self._broke
        return filled

    def ended(self) -> None:
        """Give the connection back after the last answer, and close it where no other can follow."""
        connection, response = self._connection, self._response
        if connection is None or response is None:
            return
        if not response.keeps_alive:
            self.close()
        elif self._taken == len(self._calls):
            self._connection = None
            self._connections.give_back(connection)

    def close(self) -> None:
        """Close the connection, unless it was given back."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


class _Body(Body):
    """A response's body. Read to its end, its connection is kept; left before it, its connection is closed."""

    def __init__(self, volley: Pipeline, response: Response) -> None:
        self._volley = volley
        self._response = response

    async def more(self) -> bytes:
        if self.is_at_end:
            return b""
        data = await self._volley.more()
        self.is_at_end = self._response.complete and not self._response.body
        return data

    async def block(self) -> Chunk:
        """Return the next bytes in large pieces, empty at the end. Raises: httpx.HTTPError."""
        return await self._volley.block()

    async def aclose(self) -> None:
        if not self._response.complete or self._response.body:
            self._volley.close()
        else:
            self._volley.ended()


def _serialise(call: Call) -> bytes:
    """Return the request as it travels. Raises: LocalProtocolError, when a value would break out of its line."""
    method, target = call.method.encode("ascii"), call.url.raw_path
    if not _BREAKS.isdisjoint(method + target):
        raise httpx.LocalProtocolError("the method or the target holds a blank or a line end")
    return b"%s %s%s%s" % (method, target, _head(call.headers), call.content)


@lru_cache(maxsize=64)
def _head(headers: tuple[Header, ...]) -> bytes:
    lines = b"\r\n".join([b" HTTP/1.1", *(b"%s: %s" % header for header in headers)])
    if lines.count(b"\n") != len(headers) or lines.count(b"\r") != len(headers) or b"\0" in lines:
        raise httpx.LocalProtocolError("a header holds a line end")
    return lines + b"\r\n\r\n"
