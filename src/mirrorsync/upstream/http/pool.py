"""Connections that are kept alive, per origin, and given up the moment they are in doubt."""

from collections import defaultdict
from typing import Final

import trio

from mirrorsync.upstream.http.connection import Connection, Origin, Trust, connect

_IDLE_LIMIT: Final = 30.0
"""Seconds after which an idle connection is not trusted any more (load balancers drop them silently at 60)."""
_IDLE_MOST: Final = 64
"""Idle connections kept per origin."""
_STRIKES: Final = 3
"""Volleys that may end before their last answer, without a word, before an origin is asked one thing at a time."""


__all__ = ["Connection", "ConnectionPool"]


class ConnectionPool:
    """A stack of idle connections per origin, and what is known of the origin's manners."""

    def __init__(self, trust: Trust) -> None:
        self._trust = trust
        self._idle: defaultdict[Origin, list[Connection]] = defaultdict(list)
        self._strikes: defaultdict[Origin, int] = defaultdict(int)

    async def take(self, origin: Origin, limit: float) -> tuple[Connection, bool]:
        """Return a connection, and whether it has carried something before; a new one within `limit` seconds.

        Raises: httpx.ConnectTimeout, httpx.ConnectError.
        """
        idle = self._idle[origin]
        while idle:
            connection = idle.pop()  # the one used last: the others may then grow old and go
            if trio.current_time() - connection.idle_since <= _IDLE_LIMIT and not connection.has_news():
                return connection, True
            connection.close()
        return await connect(origin, self._trust, limit), False

    def give_back(self, connection: Connection) -> None:
        """Keep a connection whose response was read to its end."""
        idle = self._idle[connection.origin]
        if len(idle) >= _IDLE_MOST:
            connection.close()
        else:
            connection.idle_since = trio.current_time()
            idle.append(connection)

    def takes_volleys(self, origin: Origin) -> bool:
        """Tell whether the origin may be asked several things at once."""
        return self._strikes[origin] < _STRIKES

    def strike(self, origin: Origin) -> None:
        """Note a volley that ended before its last answer without a word of it."""
        self._strikes[origin] += 1

    def close(self) -> None:
        """Close every idle connection."""
        for connections in self._idle.values():
            while connections:
                connections.pop().close()
