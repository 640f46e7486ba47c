"""The trace of an upstream that is itself a mirrorsync: requested seldom, and harmless if it fails."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from tests.unit.upstream.opening import open_at

TRACE = json.dumps({"hops": []}).encode()


class Above:
    """A server of one object that counts its requests."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.status = b"200 OK"
        self.fields = b'ETag: "1"\r\n'
        self.body = TRACE
        self.is_mute = False

    async def handle(self, stream: trio.SocketStream) -> None:
        async with stream:
            request = b""
            while chunk := await stream.receive_some():
                request += chunk
                if request.endswith(b"\r\n\r\n"):
                    self.requests.append(request)
                    request = b""
                    if self.is_mute:
                        await trio.sleep_forever()
                    head = b"HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n" % (self.status, self.fields, len(self.body))
                    await stream.send_all(head + self.body)


@asynccontextmanager
async def answering(above: Above) -> AsyncIterator[Callable[[], Awaitable[bytes]]]:
    async with trio.open_nursery() as nursery:
        (listener, *_) = await nursery.start(_serve, above)
        port = listener.socket.getsockname()[1]
        async with open_at(f"http://127.0.0.1:{port}", silence=60.0) as upstream:
            yield upstream.trace
        nursery.cancel_scope.cancel()


async def _serve(above: Above, *, task_status: trio.TaskStatus[list[trio.SocketListener]]) -> None:
    await trio.serve_tcp(above.handle, 0, host="127.0.0.1", task_status=task_status)


async def test_trace_is_requested_again_after_ten_minutes_with_its_etag(mock_clock: MockClock) -> None:
    above = Above()
    async with answering(above) as trace:
        assert await trace() == TRACE
        assert await trace() == TRACE
        assert len(above.requests) == 1
        mock_clock.jump(601)
        above.status, above.fields, above.body = b"304 Not Modified", b"", b""
        assert await trace() == TRACE
        assert b'If-None-Match: "1"' in above.requests[1]
        assert above.requests[1].startswith(b"GET /mirrorsync/trace.json ")


async def test_absent_trace_is_requested_once_a_day(mock_clock: MockClock) -> None:
    above = Above()
    above.status = b"404 Not Found"
    async with answering(above) as trace:
        for _ in range(20):
            assert await trace() == b""
            mock_clock.jump(3600)
        assert len(above.requests) == 1
        mock_clock.jump(5 * 3600)
        above.status = b"200 OK"
        assert await trace() == TRACE


@pytest.mark.parametrize("status", [b"500 Oops", b"503 Busy", b"403 No", b"302 Found"])
async def test_failed_trace_is_empty_and_not_retried_at_once(status: bytes) -> None:
    above = Above()
    above.status = status
    above.fields = b"Location: http://elsewhere.test/\r\n" if status.startswith(b"302") else b""
    async with answering(above) as trace:
        assert await trace() == b""
        assert await trace() == b""
        assert len(above.requests) == 1


async def test_trace_of_more_than_64_kib_is_ignored() -> None:
    above = Above()
    above.body = b"x" * (64 * 1024 + 1)
    async with answering(above) as trace:
        assert await trace() == b""


async def test_silent_upstream_delays_the_trace_by_ten_seconds(autojump_clock: MockClock) -> None:
    above = Above()
    above.is_mute = True
    autojump_clock.autojump_threshold = 0.2
    async with answering(above) as trace:
        began = trio.current_time()
        assert await trace() == b""
        assert trio.current_time() - began == pytest.approx(10)
