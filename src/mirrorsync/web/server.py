"""`mirrorsync serve`: hypercorn on trio with the tree's application."""

import logging
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import hypercorn.trio
import trio
from hypercorn.config import Config

from mirrorsync.errors import BadConfig
from mirrorsync.web.application import application

if TYPE_CHECKING:
    from hypercorn.typing import ASGIFramework

_BACKLOG: Final = 128
_PORT_MAX: Final = 65535


async def serve(
    web: Path,
    *,
    listen: str,
    access_log: str | None = None,
    shutdown_trigger: Callable[[], Awaitable[None]] | None = None,
    task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve the tree at `web` on `listen` until `shutdown_trigger` returns; without one, until cancelled.

    `listen` is "HOST:PORT", an IPv6 host in brackets; port 0 takes a free one. `task_status` gets the bound
    addresses ("http://127.0.0.1:8080") once connections are accepted. `access_log` is a file, "-" standard output.
    Cancellation closes the listeners and all connections.
    Raises: BadConfig, if `listen` is no address or cannot be bound, or `web` is no directory.
    """
    if not await trio.Path(web).is_dir():
        raise BadConfig(f"{web} is not a directory", hint="run `mirrorsync sync` first, or check mirror.directory")
    config = Config()
    config.bind = await _bind(listen)
    config.accesslog = access_log
    config.errorlog = logging.getLogger(__name__)
    config.include_server_header = False
    await hypercorn.trio.serve(
        cast("ASGIFramework", application(web)),
        config,
        shutdown_trigger=shutdown_trigger or trio.sleep_forever,
        task_status=task_status,
        mode="asgi",
    )


async def _bind(listen: str) -> list[str]:
    """Bind every address of `listen`; return the sockets in hypercorn's notation. hypercorn closes them."""
    host, separator, port = listen.rpartition(":")
    # The C library would take port 99999 as 34463 (modulo 2^16).
    if not separator or not re.fullmatch("[0-9]{1,5}", port) or int(port) > _PORT_MAX:
        raise BadConfig(f"{listen!r} is not HOST:PORT", hint="for example 127.0.0.1:8080, or [::1]:8080")
    try:
        listeners = await trio.open_tcp_listeners(int(port), host=host.strip("[]"), backlog=_BACKLOG)
    except OSError as error:
        why, hint = str(error), "choose another address with --listen"
        raise BadConfig(f"cannot listen on {listen}", why=why, hint=hint) from error
    return [f"fd://{listener.socket.detach()}" for listener in listeners]
