"""The transports that the suite holds side by side, and how a test gets at one."""

import gc
import os
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import httpx
import msgspec

from mirrorsync.upstream.http.transport import Transport

REFUSAL: Final = httpx.RemoteProtocolError
"""What a peer gets that does not speak HTTP/1.1."""


class Kind(msgspec.Struct, frozen=True):
    """A transport by its name."""

    name: str
    build: Callable[[ssl.SSLContext], httpx.AsyncBaseTransport]

    @property
    def is_ours(self) -> bool:
        return self.name == "ours"

    @asynccontextmanager
    async def client(
        self, context: ssl.SSLContext | None = None, *, connect: float = 3.0, read: float = 3.0, write: float = 3.0
    ) -> AsyncIterator[httpx.AsyncClient]:
        """Open a client that does nothing of its own, over a new transport."""
        transport = self.build(context or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
        timeout = httpx.Timeout(connect=connect, read=read, write=write, pool=None)
        async with httpx.AsyncClient(transport=transport, timeout=timeout, trust_env=False) as client:
            yield client


def _stock(context: ssl.SSLContext) -> httpx.AsyncBaseTransport:
    return httpx.AsyncHTTPTransport(verify=context, trust_env=False, limits=httpx.Limits(max_connections=None))


OURS: Final = Kind("ours", lambda context: Transport(lambda: context))
STOCK: Final = Kind("stock", _stock)
KINDS: Final = (OURS, STOCK)


def descriptors() -> int:
    """Return how many files and sockets this process has open."""
    gc.collect()  # what an earlier test left must not be closed between two counts
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - Path.iterdir holds a descriptor open itself while it counts
