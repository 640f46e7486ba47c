"""How these tests open an upstream: short time limits, plain HTTP on loopback."""

from contextlib import AbstractAsyncContextManager
from typing import Any, Final

import trio

from mirrorsync.model.objects import Remote
from mirrorsync.ports import Upstream
from mirrorsync.upstream.build import open_upstream
from mirrorsync.upstream.http.retry import RetryPolicy
from mirrorsync.upstream.index import SimpleIndex
from tests.support.pypi.server import PyPI
from tests.support.pypi.values import WorldFile

QUICK: Final = RetryPolicy(attempts=3, seconds=20.0, first_wait=0.01, longest_wait=0.02)
SILENCE: Final = 0.4
"""Seconds."""


def open_at(url: str, **words: Any) -> AbstractAsyncContextManager[SimpleIndex]:
    """Open the index at `url`; `words` override the usual arguments."""
    usual: dict[str, Any] = {
        "contact": "mirror-admin@example.test",
        "connections": trio.CapacityLimiter(10),
        "allow_http": True,
        "retry_policy": QUICK,
        "silence": 5.0,
    }
    return open_upstream(index=url, **(usual | words))


def remote_of(pypi: PyPI, file: WorldFile, *, size: int | None = None) -> Remote:
    """Return where `file` is at `pypi`; `size` None: the real size."""
    promised = file.size if size is None else size
    return Remote(url=f"{pypi.files_url}/{file.path}", size=promised, limit=promised)


async def fetch_into(chunks: list[bytes], upstream: Upstream, remote: Remote) -> None:
    """Append the chunks of `remote` to `chunks`, where they remain after a failure."""
    async with upstream.open(remote) as body:
        async for chunk in body:
            chunks.append(bytes(chunk))  # noqa: PERF401 - what came before the failure is the point


async def fetch(upstream: Upstream, remote: Remote) -> bytes:
    """Return the whole body of `remote`."""
    async with upstream.open(remote) as body:
        return b"".join([chunk async for chunk in body])
