"""Pipelining: several requests are sent together on one connection, and their responses arrive in the same order."""

from collections.abc import Sequence
from typing import Final

from mirrorsync.model.objects import Chunk
from mirrorsync.upstream.http.errors import ReadError, RemoteProtocolError, TransportError, WriteError
from mirrorsync.upstream.http.http1 import ResponseParser, serialise
from mirrorsync.upstream.http.message import Request, Response
from mirrorsync.upstream.http.pool import Connection, ConnectionPool
from mirrorsync.upstream.http.url import SCHEME_PORTS

_DIED: Final = (ReadError, WriteError, RemoteProtocolError)
_BLOCK: Final = 2**20
"""Bytes of a large body that are collected before they are returned, because hashing them costs one thread hop."""


class Pipeline:
    """Requests to one origin on one connection (RFC 9112 9.3.2), and the body of the current response.

    On a new connection the first request is sent alone. The others follow together once it is answered whole by a peer
    that keeps the connection. Close it when leaving early.
    """

    def __init__(self, pool: ConnectionPool, requests: Sequence[Request]) -> None:
        self._pool = pool
        self._requests = requests
        self._sent = 0
        self._taken = 0
        self._connection: Connection | None = None
        self._parser: ResponseParser
        self._response: Response | None = None
        self._past = 0
        """Bytes of the body that were read past the parser."""
        self._broke: TransportError | None = None
        url = requests[0].url
        self._origin = (url.scheme, url.raw_host, url.port or SCHEME_PORTS[url.scheme])
        self._silence = pool.silence if requests[0].silence is None else requests[0].silence

    async def next(self) -> Response | None:
        """Return the next response once its head has arrived; None if this connection yields no more.

        Raises: TransportError. Cancellation: the connection is closed.
        """
        if not self._taken:
            await self._begin()
        elif not await self._continue():
            return None
        response = self._response
        if response is not None and response.is_complete and not response.buffer:
            self._end()
        return response

    async def _begin(self) -> None:
        while True:
            self._connection, is_reused = await self._pool.take(self._origin, self._silence)
            together = is_reused and self._pool.may_pipeline(self._origin)
            outgoing = self._requests if together else self._requests[:1]
            self._sent = len(outgoing)
            self._parser = ResponseParser(self._sent)
            try:
                await self._send(outgoing)
                await self._receive_head()
            except BaseException as error:
                self._close()
                # The peer closed it while it was idle. No byte of a response arrived, so a GET is safe to repeat.
                is_safe = self._requests[0].method == "GET" and self._parser.is_untouched
                if is_reused and is_safe and isinstance(error, _DIED):
                    continue
                raise
            return

    async def _continue(self) -> bool:
        response = self._response
        is_last = self._taken == len(self._requests)
        if is_last or self._connection is None or response is None or not response.is_complete:
            return False
        try:
            if self._taken == self._sent:
                together = self._pool.may_pipeline(self._origin)
                rest = self._requests[self._sent : None if together else self._sent + 1]
                self._sent += len(rest)
                self._parser.expect(len(rest))
                await self._send(rest)
            await self._receive_head()
        except BaseException as error:
            if isinstance(error, TransportError):
                self._pool.pipeline_broke(self._origin)
            self._close()
            raise
        return True

    async def _send(self, requests: Sequence[Request]) -> None:
        assert self._connection is not None  # noqa: S101 -- opened by `_begin`
        data = b"".join([serialise(request, self._pool.user_agent) for request in requests])
        await self._connection.send(data, self._silence)

    async def _receive_head(self) -> None:
        responses = self._parser.responses
        if self._response is not None:
            responses.popleft()
        self._response = None
        while not (responses and responses[0].has_head):
            await self._receive()
        response = self._response = responses[0]
        response.request, response.body, response.silence = self._requests[self._taken], self, self._silence
        self._taken += 1

    async def _receive(self) -> None:
        assert self._connection is not None  # noqa: S101 -- the callers check it
        data = await self._connection.receive(self._silence)
        if data:
            self._parser.feed(data)
        else:
            self._parser.feed_end()

    # --- the body of the current response ----------------------------------------------------------------------------

    async def receive(self) -> Chunk:
        """Receive more of the current body into its response; empty, also at its end.

        A large body of announced length is read past the parser and returned as one block.
        Raises: TransportError. Cancellation: the connection is closed.
        """
        response = self._response
        try:
            while response is not None and not response.is_complete and not response.buffer and self._connection:
                if len(self._requests) == 1 and (left := self._parser.body_left):
                    return await self._block(left)
                await self._receive()
        except BaseException:
            self._close()
            raise
        return b""

    async def _block(self, left: int) -> Chunk:
        """Return a block of the body, of which `left` bytes had not arrived when the parser read last."""
        block = bytearray(min(left - self._past, _BLOCK))
        with memoryview(block) as view:
            filled = await self._fill(view)
        self._past += filled
        if self._past == left:
            self._parser.end_elsewhere()
        del block[filled:]
        return block

    async def _fill(self, view: memoryview) -> int:
        """Fill `view`; before an error, return what has arrived, and raise the error in the next call."""
        filled = 0
        while filled < len(view) and self._broke is None and self._connection is not None:
            try:
                with view[filled:] as rest:
                    received = await self._connection.receive_into(rest, self._silence)
                if not received:
                    raise RemoteProtocolError("the connection ended within the body")
                filled += received
            except TransportError as error:
                self._broke = error
        if self._broke is not None and not filled:
            raise self._broke
        return filled

    async def close(self) -> None:
        """Release the connection after the current body; it is closed if the body was not read to its end."""
        response = self._response
        if response is None or not response.is_complete or response.buffer:
            self._close()
        else:
            self._end()

    def abandon(self) -> None:
        """Close the connection unless it was given back."""
        self._close()

    def _end(self) -> None:
        """After a complete body: close a connection that cannot carry another, give it back after the last one."""
        connection, response = self._connection, self._response
        if connection is None or response is None:
            return
        if not response.keeps_alive:
            self._close()
        elif self._taken == len(self._requests):
            self._connection = None
            self._pool.give_back(connection)

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
