"""Secrets that a proxy or a sink repeats in its errors never reach the state or the public status."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio
from msgspec.structs import replace

from mirrorsync.app.mirror_directory import state_path
from mirrorsync.app.wiring import open_context
from mirrorsync.errors import MirrorsyncError
from mirrorsync.state.ledger import open_state
from mirrorsync.sync import single_pass as passes
from tests.support.mirror import Mirror
from tests.support.pypi.server import PyPI

PASSWORD = "hunter2-of-the-proxy"  # noqa: S105 -- not a real one
HOOK = "hunter2-of-the-hook"


async def repeat(reason: str, stream: trio.SocketStream) -> None:
    """Refuse every request with `reason`, and with the request itself."""
    request = bytearray()
    while b"\r\n\r\n" not in request:
        request += await stream.receive_some()
    body = bytes(request)
    head = f"HTTP/1.1 407 {reason}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    await stream.send_all(head.encode() + body)


@asynccontextmanager
async def repeater(reason: str) -> AsyncIterator[int]:
    """Serve on loopback; yield the port."""
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, partial(repeat, reason), listeners)
        yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()


def written(directory: Path) -> bytes:
    """Return the content of all files of the mirror: state, status and pages."""
    return b"".join(path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file())


async def pass_through(mirror: Mirror, port: int) -> None:
    """Make one pass through a proxy at `port`."""
    plain = mirror.settings
    proxied = replace(plain.upstream, proxy=f"http://operator:{PASSWORD}@127.0.0.1:{port}")
    settings = replace(plain, upstream=proxied)
    async with open_context(settings, mirror.observer, mirror.clock, mirror.clock.sleep) as context:
        await passes.sync(context)


@pytest.mark.parametrize(
    "reason", [f"no entry for operator:{PASSWORD}", f"no entry for a client whose password is {PASSWORD}"]
)
async def test_proxy_password_is_masked_in_a_project_failure(tmp_path: Path, pypi: PyPI, reason: str) -> None:
    mirror = Mirror(tmp_path / "mirror", pypi, upstream={"feed": "json"}, select={"projects": ["alpha"]})
    async with repeater(reason) as port:
        await pass_through(mirror, port)
    (unmet,) = mirror.status()["unmet"]
    assert "HTTP 407 no entry for" in unmet["error"]
    assert "no entry" in (mirror.web / "mirrorsync" / "status.json").read_text()
    assert b"hunter2" not in written(mirror.directory)


async def test_proxy_password_is_masked_in_a_halted_run(tmp_path: Path, pypi: PyPI) -> None:
    mirror = Mirror(tmp_path / "mirror", pypi, upstream={"feed": "xmlrpc"})
    async with repeater(f"no entry for operator:{PASSWORD}") as port:
        with pytest.raises(MirrorsyncError):
            await pass_through(mirror, port)
    assert "HTTP 407 no entry for" in mirror.status()["runs"][0]["note"]
    assert b"hunter2" not in written(mirror.directory)


async def test_webhook_address_is_masked_in_its_failure(tmp_path: Path, pypi: PyPI) -> None:
    (tmp_path / "secret").write_text("0123456789abcdef" * 2)
    async with repeater("no") as port:
        notify = {"webhooks": [f"http://127.0.0.1:{port}/hooks/{HOOK}"], "webhook-secret-file": f"{tmp_path}/secret"}
        mirror = Mirror(tmp_path / "mirror", pypi, notify=notify)
        await mirror.sync()
    async with open_state(state_path(mirror.directory)) as state:
        (sink,) = (await state.report()).sinks
    assert "POST /***" in (sink.last_error or "")
    assert b"hunter2" not in written(mirror.directory)
