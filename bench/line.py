"""A long line: a relay that delays each byte and does not limit bandwidth.

It runs as its own process. A connection itself costs no round trip: the relay accepts it at once.

.venv/bin/python -m bench.line --listen 18477 --upstream 18577 --delay 0.03
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import trio

_LOOPBACK: Final = "127.0.0.1"
_CHUNKS: Final = 1024
"""Chunks (of at most 64 KiB) on their way in one direction of one connection; enough for 2 GB/s at 30 ms."""


@contextmanager
def relaying(listen: int, upstream: int, delay: float) -> Iterator[subprocess.Popen[bytes]]:
    """Relay loopback port `listen` to port `upstream`, in a process that lives as long as the context."""
    words = ["--listen", str(listen), "--upstream", str(upstream), "--delay", str(delay)]
    command = [sys.executable, "-m", "bench.line", *words]
    with subprocess.Popen(command, cwd=Path(__file__).parent.parent) as process:
        try:
            yield process
        finally:
            process.terminate()


async def serve(listen: int, upstream: int, delay: float) -> None:
    """Accept connections and relay them until cancelled."""
    await trio.serve_tcp(partial(_connect, upstream=upstream, delay=delay), listen, host=_LOOPBACK)


async def _connect(client: trio.SocketStream, *, upstream: int, delay: float) -> None:
    async with client, await trio.open_tcp_stream(_LOOPBACK, upstream) as server, trio.open_nursery() as nursery:
        nursery.start_soon(_relay, client, server, delay)
        nursery.start_soon(_relay, server, client, delay)


async def _relay(source: trio.SocketStream, sink: trio.SocketStream, delay: float) -> None:
    """Send to `sink` what `source` sends, each chunk `delay` seconds after its arrival, then the end of the stream."""
    due, on_the_way = trio.open_memory_channel[tuple[float, bytes]](_CHUNKS)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_deliver, on_the_way, sink)
        async with due:
            try:
                async for chunk in source:
                    await due.send((trio.current_time() + delay, bytes(chunk)))
            except trio.BrokenResourceError:  # the source reset the connection
                pass
            await due.send((trio.current_time() + delay, b""))


async def _deliver(chunks: trio.MemoryReceiveChannel[tuple[float, bytes]], sink: trio.SocketStream) -> None:
    broken = False
    async for due, chunk in chunks:
        if broken:  # read on, so that the source is not blocked
            continue
        await trio.sleep_until(due)
        try:
            await (sink.send_all(chunk) if chunk else sink.send_eof())
        except trio.BrokenResourceError:
            broken = True


def main() -> None:
    parser = argparse.ArgumentParser("bench.line", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--listen", type=int, required=True, help="port that the mirrors connect to")
    parser.add_argument("--upstream", type=int, required=True, help="port that nginx listens on")
    parser.add_argument("--delay", type=float, required=True, help="seconds, each way")
    options = parser.parse_args()
    trio.run(serve, options.listen, options.upstream, options.delay)


if __name__ == "__main__":
    main()
