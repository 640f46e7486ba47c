"""One connection: send and receive bytes, each step with its own time limit. Plain TCP bypasses trio's streams.

A trio stream goes through the scheduler for each send and each receive, ready or not. Here only a step that would
block goes through it.
"""

import math
import select
import socket
import ssl
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol, TypeVar

import trio

from mirrorsync.runtime.heartbeat import beat
from mirrorsync.upstream.http.errors import (
    ConnectError,
    ConnectTimeout,
    ReadError,
    ReadTimeout,
    WriteError,
    WriteTimeout,
)

_RECEIVE: Final = 256 * 1024
"""Bytes requested from the socket at a time."""
_MOST_IN_A_ROW: Final = 16
"""Receives in a row that may find bytes ready, before other tasks get a turn."""

_T = TypeVar("_T")
Origin = tuple[str, bytes, int]
"""Scheme, host, port."""
TlsContext = Callable[[], ssl.SSLContext]
"""Returns the TLS settings. A function, because reading all certificates takes 20 ms and plain HTTP needs none."""


class Wire(Protocol):
    """Bytes in both directions. Raises: OSError. After cancellation, close it."""

    @property
    def has_leftovers(self) -> bool:
        """Whether bytes have arrived that were not read."""

    async def send(self, data: bytes, limit: float) -> None:
        """Send all of `data`. Raises: trio.TooSlowError after `limit` seconds."""

    async def receive(self, limit: float) -> bytes:
        """Return the next bytes, empty at the end. Raises: trio.TooSlowError after `limit` seconds."""

    async def receive_into(self, buffer: memoryview, limit: float) -> int:
        """Receive the next bytes into `buffer`; return their number, 0 at the end. Raises: as `receive`."""

    def close(self) -> None:
        """Close at once: TLS's close_notify would wait for a peer that may not answer."""


class Connection:
    """A wire to an origin; its failures are TransportErrors."""

    def __init__(self, origin: Origin, wire: Wire, plain: socket.socket) -> None:
        self.origin = origin
        self.idle_since = 0.0
        """trio's time."""
        self._wire = wire
        self._poll = select.poll()
        self._poll.register(plain.fileno(), select.POLLIN)

    def has_unexpected_data(self) -> bool:
        """Return True if an idle connection has received anything: its end, or bytes that nothing requested."""
        return self._wire.has_leftovers or bool(self._poll.poll(0))

    async def send(self, data: bytes, limit: float) -> None:
        """Send `data`. Raises: WriteTimeout, WriteError."""
        try:
            await self._wire.send(data, limit)
        except trio.TooSlowError as error:
            raise WriteTimeout(f"nothing could be sent for {limit:g} s") from error
        except OSError as error:
            raise WriteError(str(error)) from error

    async def receive(self, limit: float) -> bytes:
        """Return the next bytes, empty at the end. Raises: ReadTimeout, ReadError."""
        try:
            data = await self._wire.receive(limit)
        except trio.TooSlowError as error:
            raise ReadTimeout(f"no byte for {limit:g} s") from error
        except OSError as error:
            raise ReadError(str(error)) from error
        beat()
        return data

    async def receive_into(self, buffer: memoryview, limit: float) -> int:
        """Receive the next bytes into `buffer`; return their number, 0 at the end. Raises: as `receive`."""
        try:
            size = await self._wire.receive_into(buffer, limit)
        except trio.TooSlowError as error:
            raise ReadTimeout(f"no byte for {limit:g} s") from error
        except OSError as error:
            raise ReadError(str(error)) from error
        beat()
        return size

    def close(self) -> None:
        """Close at once, without close_notify."""
        self._wire.close()


class _Plain:
    has_leftovers = False

    def __init__(self, connected: trio.SocketStream) -> None:
        # Detached, because trio would close the descriptor together with its stream.
        self._socket = socket.socket(fileno=connected.socket.detach())
        self._socket.settimeout(0)
        self.socket = self._socket
        self._ready = 0

    async def send(self, data: bytes, limit: float) -> None:
        rest = memoryview(data)
        while rest := rest[self._send_some(rest) :]:
            with trio.fail_after(limit):
                await trio.lowlevel.wait_writable(self._socket)

    def _send_some(self, data: memoryview) -> int:
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0

    async def receive(self, limit: float) -> bytes:
        return await self._received(lambda: self._socket.recv(_RECEIVE), limit)

    async def receive_into(self, buffer: memoryview, limit: float) -> int:
        return await self._received(lambda: self._socket.recv_into(buffer), limit)

    async def _received(self, receive: Callable[[], _T], limit: float) -> _T:
        self._ready += 1
        if self._ready > _MOST_IN_A_ROW:
            self._ready = 0
            await trio.lowlevel.checkpoint()
        with suppress(BlockingIOError):
            return receive()
        self._ready = 0
        self._acknowledge()
        with trio.fail_after(limit):
            while True:
                await trio.lowlevel.wait_readable(self._socket)
                with suppress(BlockingIOError):
                    return receive()

    def _acknowledge(self) -> None:
        """Acknowledge at once: the peer may hold the rest back until then, and Linux delays it for up to 40 ms.

        Source: RFC 896 and 1122 (4.2.3.2); tcp(7): TCP_QUICKACK is not permanent.
        """
        if sys.platform == "linux":
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def close(self) -> None:
        if self._socket.fileno() >= 0:
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()


class _Secure:
    """TLS over a plain wire. Unlike a trio stream, it shows bytes that have arrived and were not read."""

    def __init__(self, plain: _Plain, context: ssl.SSLContext, name: str) -> None:
        self._plain = plain
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name)

    @property
    def has_leftovers(self) -> bool:
        return bool(self._incoming.pending or self._tls.pending())

    async def shake_hands(self) -> None:
        await self._step(self._tls.do_handshake, math.inf)

    async def send(self, data: bytes, limit: float) -> None:
        await self._step(lambda: self._tls.write(data), limit)

    async def receive(self, limit: float) -> bytes:
        return await self._step(lambda: self._tls.read(_RECEIVE), limit) or b""

    async def receive_into(self, buffer: memoryview, limit: float) -> int:
        def read() -> int:
            return int(self._tls.read(len(buffer), buffer))  # with a buffer, it returns a size

        return await self._step(read, limit) or 0

    def close(self) -> None:
        self._plain.close()

    async def _step(self, step: Callable[[], _T], limit: float) -> _T | None:
        """Return the result of `step`, repeated while it needs bytes; None at the end of the connection."""
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                await self._flush(limit)
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                if step == self._tls.do_handshake:
                    raise
                return None  # even without close_notify: a body has its own length and digest
            else:
                await self._flush(limit)
                return result
            if data := await self._plain.receive(limit):
                self._incoming.write(data)
            else:
                self._incoming.write_eof()

    async def _flush(self, limit: float) -> None:
        if self._outgoing.pending:
            await self._plain.send(self._outgoing.read(), limit)


async def connect(origin: Origin, tls: TlsContext, limit: float) -> Connection:
    """Open a connection to any address of the host, IPv6 and IPv4 in parallel. Source: RFC 8305.

    Raises: ConnectTimeout, ConnectError; what `tls` raises.
    """
    scheme, host, port = origin
    name = host.decode("ascii").strip("[]")
    context = tls() if scheme == "https" else None
    try:
        with trio.fail_after(limit):
            plain = _Plain(await trio.open_tcp_stream(name, port))
            if context is None:
                return Connection(origin, plain, plain.socket)
            secure = _Secure(plain, context, name)
            try:
                await secure.shake_hands()
            except BaseException:
                plain.close()
                raise
            return Connection(origin, secure, plain.socket)
    except trio.TooSlowError as error:
        raise ConnectTimeout(f"no connection within {limit:g} s") from error
    except OSError as error:
        raise ConnectError(str(error)) from error
