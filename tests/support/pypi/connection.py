"""One HTTP/1.1 connection: parse, answer, deliver, correctly or with faults. Fast for many small requests."""

import asyncio
import itertools
import socket
import struct
import time
from collections.abc import Callable
from typing import cast

from msgspec.structs import replace

from tests.support.pypi.exchange import PLAIN, Answer, Log, Recorded, Repeated, Request, head_of, parse_head

_PIECE = 65_536
_SETTLE_SECONDS = 0.02
"""Time for sent bytes to reach the reader before a reset, which discards unread bytes."""


class Connection(asyncio.Protocol):
    """Answers in order; a slow delivery delays the requests behind it."""

    def __init__(self, respond: Callable[[Request], Answer], log: Log, open_connections: set["Connection"]) -> None:
        self._respond = respond
        self._log = log
        self._open_connections = open_connections
        self._buffer = b""
        self._task: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._number = 0
        self._transport = cast("asyncio.Transport", None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._number = self._log.opened()
        self._open_connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._log.closed()
        self._open_connections.discard(self)
        self._writable.set()
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def abort(self) -> None:
        """End the connection now."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while self._task is None and not self._transport.is_closing():
            request = self._next_request()
            if request is None:
                return
            self._handle(request)

    def _next_request(self) -> Request | None:
        head, separator, rest = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return None
        request = parse_head(head)
        if request is None or "transfer-encoding" in request.headers:
            self._transport.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            self._transport.close()
            return None
        length = int(request.headers.get("content-length", 0))
        if len(rest) < length:
            return None
        self._buffer = rest[length:]
        return replace(request, body=rest[:length]) if length else request

    def _handle(self, request: Request) -> None:
        answer = self._respond(request)
        body = b"" if request.method == "HEAD" or answer.status == 304 else answer.body
        is_plain = answer.delivery is PLAIN
        record = Recorded(
            method=request.method,
            path=request.target,
            headers=request.headers,
            body=request.body,
            status=answer.status if is_plain else 0,
            sent=len(body) if is_plain else 0,
            time=time.monotonic(),
            connection=self._number,
        )
        number = self._log.add(record)
        if not is_plain:
            self._task = asyncio.get_running_loop().create_task(self._deliver(answer, body, number))
            self._task.add_done_callback(self._delivered)
            return
        self._transport.write(head_of(answer, length=len(answer.body)) + body)
        if request.headers.get("connection", "").lower() == "close":
            self._transport.close()

    def _delivered(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if not task.cancelled() and not self._transport.is_closing():
            task.result()
            self.data_received(b"")

    async def _deliver(self, answer: Answer, body: bytes, number: int) -> None:
        delivery = answer.delivery
        await asyncio.sleep(delivery.delay)
        if delivery.headless:
            await self._end(delivery.ending)
            return
        self._transport.write(head_of(answer, length=None if delivery.endless or delivery.repeat else len(answer.body)))
        self._log.settle(number, status=answer.status, sent=0)
        if delivery.repeat is not None:
            await self._send_repeated(delivery.repeat, number, answer.status)
            return
        if delivery.endless:
            await self._send_endlessly(body, number, answer.status)
        sent_body = body[: delivery.stop_after]
        piece = delivery.piece or _PIECE
        for start in range(0, len(sent_body), piece):
            await self._writable.wait()
            self._transport.write(sent_body[start : start + piece])
            sent = min(start + piece, len(sent_body))
            self._log.settle(number, status=answer.status, sent=sent)
            if delivery.interval:
                await asyncio.sleep(delivery.interval)
        if delivery.stop_after is not None:
            await self._end(delivery.ending)

    async def _send_repeated(self, repeat: Repeated, number: int, status: int) -> None:
        sent = 0
        for piece in itertools.chain((repeat.head,), itertools.repeat(repeat.piece, repeat.times), (repeat.tail,)):
            await self._writable.wait()
            if piece:
                self._transport.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            sent += len(piece)
            self._log.settle(number, status=status, sent=sent)
            await asyncio.sleep(0)
        self._transport.write(b"0\r\n\r\n")

    async def _send_endlessly(self, body: bytes, number: int, status: int) -> None:
        sent, chunk = 0, body or b" "
        while True:
            await self._writable.wait()
            self._transport.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
            sent += len(chunk)
            self._log.settle(number, status=status, sent=sent)
            chunk = b" " * _PIECE
            await asyncio.sleep(0)

    async def _end(self, ending: str) -> None:
        if ending == "stall":
            await asyncio.get_running_loop().create_future()
        if ending == "reset":
            await asyncio.sleep(_SETTLE_SECONDS)
            connected = cast("socket.socket", self._transport.get_extra_info("socket"))
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()
        self._transport.close()
