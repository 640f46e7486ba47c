"""The local listener for monitoring: /metrics, /healthz and /readyz.

Sources: the ASGI specification, version 3; OpenMetrics 1.0 ("Negotiation of protocols").
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final, Protocol

import trio

from mirrorsync.errors import BadConfig, MirrorsyncError

_BACKLOG: Final = 16
_TEXT: Final = "text/plain; charset=utf-8"

Send = Callable[[Any], Awaitable[None]]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]


class Watched(Protocol):
    """What the listener reports on."""

    async def page(self, accept: str) -> tuple[bytes, str]:
        """Return the metrics and their content type. Raises: MirrorsyncError, where the state does not answer."""

    async def readiness(self) -> tuple[bool, str]:
        """Return whether clients may use this mirror now, and lines that say why not or how it is."""

    async def check_state(self) -> None:
        """Return when the state has answered. Raises: MirrorsyncError, where it does not."""

    def stuck(self) -> str:
        """Return which tasks have made no progress for too long; empty where there are none."""


Answer = tuple[int, str, bytes]
"""A status, a content type and a body."""


async def _metrics(watched: Watched, accept: str) -> Answer:
    body, content_type = await watched.page(accept)
    return 200, content_type, body


async def _healthz(watched: Watched, _accept: str) -> Answer:
    if stuck := watched.stuck():
        return 503, _TEXT, f"stuck, without progress: {stuck}\n".encode()
    await watched.check_state()
    return 200, _TEXT, b"alive\n"


async def _readyz(watched: Watched, _accept: str) -> Answer:
    is_ready, lines = await watched.readiness()
    return 200 if is_ready else 503, _TEXT, lines.encode()


_PAGES: Final[Mapping[str, Callable[[Watched, str], Awaitable[Answer]]]] = {
    "/metrics": _metrics,
    "/healthz": _healthz,
    "/readyz": _readyz,
}


class Listener:
    """Bound sockets, to be served once there is something to report on."""

    def __init__(self, listeners: Sequence[trio.SocketListener]) -> None:
        self._listeners = listeners

    async def serve(
        self, watched: Watched, *, task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Serve until cancelled; `task_status` gets the addresses. Without sockets it returns at once."""
        if not self._listeners:
            task_status.started([])
            return
        import hypercorn.trio  # noqa: PLC0415 -- a tenth of a second to load
        from hypercorn.config import Config  # noqa: PLC0415 -- a web server is a tenth of a second to load

        config = Config()
        config.bind = [f"fd://{listener.socket.detach()}" for listener in self._listeners]
        config.accesslog = config.errorlog = None
        config.include_server_header = False
        config.graceful_timeout = 0.0
        await hypercorn.trio.serve(
            partial(respond, watched),
            config,
            shutdown_trigger=trio.sleep_forever,
            task_status=task_status,
            mode="asgi",
        )


@asynccontextmanager
async def bound(address: str | None) -> AsyncIterator[Listener]:
    """Bind `address` (HOST:PORT, an IPv6 host in brackets; None: nothing) for the context's life.

    Raises: BadConfig, when the address is taken or not this machine's.
    """
    if address is None:
        yield Listener(())
        return
    host, _, port = address.rpartition(":")
    try:
        listeners = await trio.open_tcp_listeners(int(port), host=host.strip("[]"), backlog=_BACKLOG)
    except OSError as error:
        raise BadConfig(
            f"[metrics] listen: {address} cannot be listened on",
            why=error.strerror or str(error),
            hint="choose a free port and an address of this machine, or leave listen out",
        ) from error
    try:
        yield Listener(listeners)
    finally:
        for listener in listeners:
            listener.socket.close()


async def respond(watched: Watched, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
    """Answer one ASGI request."""
    if scope["type"] == "lifespan":
        while True:
            phase = (await receive())["type"]
            await send({"type": f"{phase}.complete"})
            if phase == "lifespan.shutdown":
                return
    status, content_type, body = await _answer(watched, scope)
    headers = [
        (b"content-type", content_type.encode("ascii")),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
    ]
    if status == 405:  # noqa: PLR2004 -- the status Method Not Allowed
        headers.append((b"allow", b"GET, HEAD"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


async def _answer(watched: Watched, scope: Mapping[str, Any]) -> Answer:
    page = _PAGES.get(scope["path"])
    if page is None:
        return 404, _TEXT, f"available: {', '.join(_PAGES)}\n".encode()
    if scope["method"] not in {"GET", "HEAD"}:
        return 405, _TEXT, b"GET and HEAD only\n"
    accept = ",".join(value.decode("latin-1") for name, value in scope["headers"] if name.lower() == b"accept")
    try:
        return await page(watched, accept)
    except MirrorsyncError as error:
        return 503, _TEXT, f"{error}\n".encode()
