"""Acknowledgements to a peer whose kernel collects small segments (RFC 896)."""

import socket
import sys

import pytest
import trio
import trio.testing

from mirrorsync.upstream.http.connection import Connection, connect

EXCHANGES = 40
"""Linux acknowledges about the first sixteen segments of a connection at once."""


def no_certificates() -> None:
    raise AssertionError("nothing here speaks TLS")


async def exchange(connection: Connection, peer: trio.SocketStream) -> None:
    await connection.send(b"?", 5)
    await peer.receive_some(1)
    await peer.send_all(b"!")
    assert await connection.receive(5) == b"!"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a program say when it acknowledges")
async def test_received_bytes_are_acknowledged_before_waiting() -> None:
    # TCP_QUICKACK is what the kernel would do with a segment that arrived now: 1, acknowledge it at once.
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    connection = await connect(("http", b"127.0.0.1", port), no_certificates, 5)  # type: ignore[arg-type] # never called
    plain = connection._wire._socket  # type: ignore[attr-defined] # only the kernel knows
    async with listener, await listener.accept() as peer, trio.open_nursery() as nursery:
        for _ in range(EXCHANGES):
            await exchange(connection, peer)
        await connection.send(b"?", 5)
        assert plain.getsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK) == 0
        nursery.start_soon(connection.receive, 5)
        await trio.testing.wait_all_tasks_blocked()
        assert plain.getsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK) == 1
        await peer.send_all(b"!")
    connection.close()
