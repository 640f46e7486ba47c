"""Connections that are kept open, per origin, and closed as soon as they are in doubt."""

import ssl
from collections import defaultdict
from functools import cache
from typing import Final

import trio

from mirrorsync.upstream.http.connection import Connection, Origin, TlsContext, connect

__all__ = ["Connection", "ConnectionPool"]

_CONNECT_LIMIT: Final = 30.0
"""Seconds to open a connection: about ten SYNs."""
IDLE_LIMIT: Final = 30.0
"""Seconds that an idle connection is kept; load balancers drop them silently after 60."""
_IDLE_MOST: Final = 64
"""Idle connections kept per origin."""
_BROKEN_PIPELINES: Final = 3
"""Pipelines that may end before their last response, before requests to an origin are sent one at a time."""


class ConnectionPool:
    """A stack of idle connections per origin, and whether the origin supports pipelining."""

    def __init__(self, tls: TlsContext, *, user_agent: str, silence: float) -> None:
        """`tls` is called when TLS is first used; its context must verify certificates. `silence` in seconds."""

        @cache
        def http1() -> ssl.SSLContext:
            context = tls()
            context.set_alpn_protocols(["http/1.1"])
            return context

        self._tls = http1
        self._idle: defaultdict[Origin, list[Connection]] = defaultdict(list)
        self._broken_pipelines: defaultdict[Origin, int] = defaultdict(int)
        self.user_agent = user_agent.encode("ascii")
        self.silence = silence
        """Seconds without a byte after which a connection counts as dead, unless the request has its own limit."""

    async def take(self, origin: Origin, silence: float) -> tuple[Connection, bool]:
        """Return a connection, and whether it was used before.

        Raises: ConnectTimeout, ConnectError; what `tls` raises.
        """
        idle = self._idle[origin]
        while idle:
            connection = idle.pop()  # the last used, so that the others age and are closed
            if trio.current_time() - connection.idle_since <= IDLE_LIMIT and not connection.has_unexpected_data():
                return connection, True
            connection.close()
        return await connect(origin, self._tls, min(silence, _CONNECT_LIMIT)), False

    def give_back(self, connection: Connection) -> None:
        """Keep a connection whose last response was read to its end."""
        idle = self._idle[connection.origin]
        if len(idle) >= _IDLE_MOST:
            connection.close()
        else:
            connection.idle_since = trio.current_time()
            idle.append(connection)

    def may_pipeline(self, origin: Origin) -> bool:
        """Return True if several requests may be sent to the origin at once."""
        return self._broken_pipelines[origin] < _BROKEN_PIPELINES

    def pipeline_broke(self, origin: Origin) -> None:
        """Record a pipeline that ended without its next response."""
        self._broken_pipelines[origin] += 1

    def close(self) -> None:
        """Close every idle connection."""
        for connections in self._idle.values():
            while connections:
                connections.pop().close()
