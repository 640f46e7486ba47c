"""A server that sends scripted bytes over a raw socket, in pieces of any size, and records its requests."""

import re
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

import msgspec
import trio

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_PAUSE: Final = 0.002
"""Seconds between two pieces, so that they arrive separately."""
_LONGEST: Final = 20.0
"""Seconds that a test may use its peer: a client that hangs fails its test and does not stop the suite."""
_PATIENCE: Final = 5.0
"""Seconds that a test waits for an event at its peer."""


class ReceivedRequest(msgspec.Struct, frozen=True):
    """One request as it arrived."""

    connection: int
    raw: bytes

    @property
    def target(self) -> str:
        return self.raw.split(b" ", 2)[1].decode()


class Talk:
    """One connection at the peer; connections are numbered from 1."""

    def __init__(self, peer: "Peer", number: int, stream: trio.abc.Stream, plain: trio.SocketStream) -> None:
        self.number = number
        self.sent = 0
        self._peer = peer
        self._stream = stream
        self._plain = plain
        self._buffer = b""

    async def request(self) -> bytes:
        """Return the next request with its body; empty if the client has closed the connection."""
        while b"\r\n\r\n" not in self._buffer:
            if not await self._more():
                return b""
        size = self._buffer.index(b"\r\n\r\n") + 4
        length = _LENGTH.search(self._buffer[:size])
        size += int(length[1]) if length else 0
        while len(self._buffer) < size:
            if not await self._more():
                return b""
        whole, self._buffer = self._buffer[:size], self._buffer[size:]
        self._peer.received.append(ReceivedRequest(self.number, whole))
        return whole

    async def _more(self) -> bool:
        data = await self._stream.receive_some(65_536)
        self._buffer += data
        return bool(data)

    async def send(self, *pieces: bytes) -> None:
        """Send the pieces with a pause between them."""
        for number, piece in enumerate(pieces):
            if number:
                await trio.sleep(_PAUSE)
            await self._stream.send_all(piece)
            self.sent += len(piece)

    @asynccontextmanager
    async def corked(self) -> AsyncIterator[None]:
        """Collect what is sent and send it together when the context ends."""
        self._plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        yield
        self._plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)

    async def left(self) -> None:
        """Return when the client has closed the connection."""
        with suppress(trio.BrokenResourceError):
            while await self._stream.receive_some(65_536):
                pass

    async def end(self) -> None:
        """Close in order, with close_notify under TLS."""
        await self._stream.aclose()

    async def reset(self) -> None:
        """Reset the connection, after time to read what was sent: a reset discards the rest."""
        await trio.sleep(0.02)
        self._plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await trio.aclose_forcefully(self._plain)


Script = Callable[[Talk], Awaitable[None]]
"""What the peer does on a connection; when it returns, the connection is closed without close_notify."""


class Peer:
    """What a test can see of its peer."""

    def __init__(self, script: Script, tls: ssl.SSLContext | None) -> None:
        self._script = script
        self._tls = tls
        self.received: list[ReceivedRequest] = []
        self.connections = 0
        self.open = 0
        self.most_open = 0
        self.port = 0
        self.host = ""
        self._changed = trio.Event()

    def url(self, path: str = "/", *, host: str = "") -> str:
        return f"{'https' if self._tls else 'http'}://{host or self.host}:{self.port}{path}"

    @property
    def targets(self) -> list[str]:
        return [request.target for request in self.received]

    async def was_asked(self, target: str) -> None:
        """Return once `target` was requested. Raises: TooSlowError."""
        with trio.fail_after(_PATIENCE):
            while target not in self.targets:  # noqa: ASYNC110 - an event for each target would be no clearer
                await trio.sleep(0.002)

    async def all_left(self, *, open_connections: int = 0) -> None:
        """Return once no more than `open_connections` are open. Raises: TooSlowError."""
        with trio.fail_after(_PATIENCE):
            while self.open > open_connections:
                await self._changed.wait()

    async def serve(self, plain: trio.SocketStream) -> None:
        """Run the script on one connection."""
        self.connections += 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        stream: trio.abc.Stream = plain
        if self._tls:
            stream = trio.SSLStream(plain, self._tls, server_side=True, https_compatible=True)
        try:
            # The client may close at any moment; the test checks what it sent and received.
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await self._script(Talk(self, self.connections, stream, plain))
        finally:
            await trio.aclose_forcefully(stream)
            self.open -= 1
            self._changed.set()
            self._changed = trio.Event()


@asynccontextmanager
async def open_peer(
    script: Script, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1", longest: float = _LONGEST
) -> AsyncIterator[Peer]:
    """Serve `script` on a free port of `host` until the context ends. Raises: TooSlowError after `longest` seconds."""
    peer = Peer(script, tls)
    listeners = await trio.open_tcp_listeners(0, host=host)
    peer.port = listeners[0].socket.getsockname()[1]
    peer.host = f"[{host}]" if ":" in host else host
    with trio.fail_after(longest):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, peer.serve, listeners)
            yield peer
            nursery.cancel_scope.cancel()


def answer(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    """Return a complete response with a Content-Length."""
    lines = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def echo(request: bytes) -> bytes:
    """Return a response whose body is the target of `request`."""
    return answer(request.split(b" ", 2)[1])


async def honest(talk: Talk) -> None:
    """Answer every request with its target."""
    while request := await talk.request():
        await talk.send(echo(request))


def says(*pieces: bytes, then: Callable[[Talk], Awaitable[None]] = Talk.left) -> Script:
    """Answer the first request of the first connection with `pieces`, then do `then`; answer the others honestly."""

    async def script(talk: Talk) -> None:
        if talk.number > 1:
            await honest(talk)
        elif await talk.request():
            await talk.send(*pieces)
            await then(talk)

    return script
